//! Datagrams that an endpoint drops.

use std::sync::Arc;
use std::time::Duration;

use jsp_proto::{Config, Endpoint, Entropy, Instant, Output, Path, RecvMeta, SecretKey};
use serde_json::{Map, json};

use super::value::{Computed, Inputs};

/// What becomes of `datagrams` from one address at a server with default settings and nothing else to do.
pub(super) fn datagrams(inputs: &Inputs<'_>) -> Computed {
    let key = SecretKey::from_seed(inputs.array("server_static_seed")?);
    let config = Config::builder().server_key(key).build().map_err(|error| error.to_string())?;
    let mut endpoint = Endpoint::new(Arc::new(config), Entropy::new([0; 32]));
    let meta = RecvMeta::single(Path::to(inputs.address("client_ip16_port")?));
    let now = Instant::ZERO + Duration::from_secs(1);
    let mut answers = 0;
    for mut datagram in inputs.list("datagrams")? {
        endpoint.handle_datagram(now, meta, &mut datagram);
        let mut buffer = [0; 1500];
        loop {
            match endpoint.poll(now, &mut buffer) {
                Output::Transmit(_) => answers += 1,
                Output::Idle { .. } => break,
                _ => {}
            }
        }
    }
    if answers > 0 || endpoint.stats().dropped_total() == 0 {
        return Err(format!("{answers} answers, {:?}", endpoint.stats()));
    }
    let drops = endpoint.stats().drops().filter(|(_, count)| *count > 0);
    let dropped: Map<_, _> = drops.map(|(reason, count)| (reason.name().into(), json!(count))).collect();
    Ok(json!({ "dropped": dropped }))
}
