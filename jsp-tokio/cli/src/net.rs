//! Listening and connecting, with the trust that the command line names.

use std::path::PathBuf;
use std::time::Duration;

use etcetera::{AppStrategy, AppStrategyArgs};
use jsp_tokio::{ClientConfig, ConfigBuilder, Connection, Endpoint, KeyFetch, KeyId, KnownHosts, SecretKey, Side};

use crate::address::{Named, Target};
use crate::args::{Listen, Transport, Trust};
use crate::failure::{Context, Exit, Failure, Result};
use crate::term::{plain, say, tell};
use crate::{keys, observe};

/// The library's own name: echo.
pub(crate) const ECHO: &[u8] = b"jsp";
pub(crate) const FILE: &[u8] = b"jsp-file/1";
pub(crate) const CHAT: &[u8] = b"jsp-chat/1";
pub(crate) const PERF: &[u8] = b"jsp-perf/1";

const DEFAULT_PORT: u16 = 4433;

/// A server that shows its key to everybody.
pub(crate) async fn listen(
    args: &Listen,
    transport: Transport,
    protocols: &[&[u8]],
    uses: &[&str],
) -> Result<Endpoint> {
    let key = keys::server_key(args.key.as_deref())?;
    let id = key.public().key_id();
    let config = server_config(transport.config(), key, protocols).build()?;
    let endpoint = match &args.listen {
        Some(address) => Endpoint::bind(address.as_str(), config).await.map_err(|error| unbound(address, &error))?,
        None => match Endpoint::bind(("::", DEFAULT_PORT), config.clone()).await {
            Ok(endpoint) => endpoint,
            // A system without IPv6.
            Err(_) => Endpoint::bind(("0.0.0.0", DEFAULT_PORT), config)
                .await
                .map_err(|error| unbound(&format!("port {DEFAULT_PORT}"), &error))?,
        },
    };
    observe::watch(&endpoint)?;
    let local = endpoint.local_address();
    say!("listening on {local}");
    say!("key {id}");
    if args.key.is_none() {
        say!("the key is new and ends with this server; `jsp keygen` makes one to keep");
    }
    let host = if local.ip().is_unspecified() { format!("HOST:{}", local.port()) } else { local.to_string() };
    for command in uses {
        say!("reach it with: jsp {} {host}#{id}", command);
    }
    Ok(endpoint)
}

pub(crate) fn server_config(config: ConfigBuilder, key: SecretKey, protocols: &[&[u8]]) -> ConfigBuilder {
    config.server_key(key).key_fetch(KeyFetch::Open).protocols(protocols)
}

fn unbound(address: &str, error: &std::io::Error) -> Failure {
    let failure = Failure::new(format!("cannot listen on {address}: {error}"));
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            failure.hint("Another program uses the port; --listen 127.0.0.1:0 takes a free one.")
        }
        std::io::ErrorKind::InvalidInput => failure.hint("An address is IP:port, for example --listen 127.0.0.1:4433."),
        _ => failure,
    }
}

/// Connects as the command line says, and tells how it went.
pub(crate) async fn connect(
    target: &Target,
    trust: &Trust,
    transport: Transport,
    protocol: &[u8],
) -> Result<(Endpoint, Connection)> {
    let config = transport.config().build()?;
    let remotes: Vec<_> = tokio::net::lookup_host(&target.host)
        .await
        .map_err(|error| Failure::from(error).exit(Exit::Unreachable))
        .context(|| format!("cannot find {}", target.host))?
        .collect();
    // One socket per family, in the resolver's order: not every system has sockets for both.
    let mut families: Vec<bool> = remotes.iter().map(|remote| remote.is_ipv4()).collect();
    families.dedup();
    families.truncate(2);
    let mut failure = Failure::new(format!("{} stands for no address", target.host));
    for ipv4 in families {
        let local = if ipv4 { "0.0.0.0:0" } else { "[::]:0" };
        let connected = async {
            let endpoint = Endpoint::bind(local, config.clone()).await?;
            observe::watch(&endpoint)?;
            let connection = connect_by(&endpoint, target, trust, protocol).await?;
            Result::Ok((endpoint, connection))
        };
        match connected.await {
            Ok(connected) => return Ok(connected),
            Err(error) => failure = error,
        }
    }
    failure.text = format!("cannot connect to {target}: {}", failure.text);
    Err(failure)
}

async fn connect_by(endpoint: &Endpoint, target: &Target, trust: &Trust, protocol: &[u8]) -> Result<Connection> {
    let dress = |client: ClientConfig| client.protocols(&[protocol]).handshake_timeout(trust.connect_timeout);
    let host = target.host.as_str();
    match policy(target, trust)? {
        Policy::Known => {
            let path = known_servers()?;
            let known = KnownHosts::open(&path).context(|| path.display().to_string())?;
            let was = known.get(host);
            let connected = endpoint.connect_known(host, &known, &dress(ClientConfig::new())).await;
            let connection = connected.map_err(|error| forget_hint(error.into(), host, &path))?;
            if let (None, Some(id)) = (was, connection.peer_key_id()) {
                tell!("met {host} for the first time; its key is {id}, noted in {}", path.display());
            }
            Ok(connection)
        }
        Policy::Config(client) => Ok(endpoint.connect(host, &dress(client)).await?),
    }
}

enum Policy {
    Config(ClientConfig),
    Known,
}

fn policy(target: &Target, trust: &Trust) -> Result<Policy> {
    let mut pins: Vec<KeyId> = trust.pin.clone();
    match (&target.key, &trust.server_key, trust.tofu) {
        (None, None, true) => return Ok(Policy::Known),
        (None, Some(key), false) => return Ok(Policy::Config(ClientConfig::pinned(keys::public_key(key)?))),
        (Some(_), Some(_), _) | (Some(_), _, true) => {
            return Err(Failure::usage("the address names the key already: leave out --server-key and --tofu"));
        }
        (Some(Named::Key(key)), ..) if pins.is_empty() => return Ok(Policy::Config(ClientConfig::pinned(key.clone()))),
        (Some(Named::Key(key)), ..) => pins.push(key.key_id()),
        (Some(Named::Id(id)), ..) => pins.push(*id),
        _ => {}
    }
    Ok(Policy::Config(if pins.is_empty() { ClientConfig::new() } else { ClientConfig::fingerprints(pins) }))
}

fn known_servers() -> Result<PathBuf> {
    let app =
        AppStrategyArgs { top_level_domain: "dev".into(), author: "jetstreamproto".into(), app_name: "jsp".into() };
    let strategy = etcetera::choose_app_strategy(app).map_err(|error| {
        Failure::new(format!("no folder for the known servers: {error}")).hint("Set HOME, or pin the key with --pin.")
    })?;
    let folder = strategy.config_dir();
    std::fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder.join("known_servers"))
}

fn forget_hint(failure: Failure, host: &str, path: &std::path::Path) -> Failure {
    if failure.exit != Exit::Untrusted {
        return failure;
    }
    let hint = format!(
        "{host} had another key when it was met first. Somebody may be in between, or the server has a new key.\n\
         Ask its owner; if the new key is right, delete the line of {host} in {}",
        path.display()
    );
    failure.hint(hint)
}

/// Who is there and how it was established, in one line.
pub(crate) fn describe(connection: &Connection) -> String {
    let stats = connection.stats();
    let peer = connection.remote_address().map_or_else(|| "?".into(), |remote| plain(remote).to_string());
    let time = stats.handshake_time.map(|time| format!(", handshake {}", crate::term::duration(time)));
    let key = match (connection.side(), connection.peer_key_id()) {
        (Side::Client, Some(id)) => format!(", server key {id}"),
        _ => String::new(),
    };
    format!("{peer}{}{key}", time.unwrap_or_default())
}

/// Resolves when the user (Ctrl-C) or the system wants the program to end.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Closes everything gracefully; a second Ctrl-C ends the wait.
pub(crate) async fn shut_down(endpoint: &Endpoint) {
    if endpoint.connections() > 0 {
        tell!("closing the connections; Ctrl-C ends at once");
    }
    tokio::select! {
        () = endpoint.shutdown() => {}
        () = interrupted() => {}
        () = tokio::time::sleep(Duration::from_secs(15)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(pin: &[KeyId], tofu: bool) -> Trust {
        Trust { pin: pin.to_vec(), tofu, ..Trust::default() }
    }

    #[test]
    fn whom_the_command_line_trusts() {
        let id = SecretKey::from_seed([1; 32]).public().key_id();
        let bare: Target = "a:1".parse().expect("valid");
        let pinned: Target = format!("a:1#{id}").parse().expect("valid");
        let config = |target: &Target, trust: Trust| match policy(target, &trust).expect("consistent") {
            Policy::Config(client) => format!("{:?}", client.trust()),
            Policy::Known => "known".into(),
        };
        assert_eq!(config(&bare, trust(&[], false)), "LoopbackOnly");
        assert_eq!(config(&bare, trust(&[id], false)), format!("Fingerprint([{id:?}])"));
        assert_eq!(config(&pinned, trust(&[], false)), format!("Fingerprint([{id:?}])"));
        assert_eq!(config(&pinned, trust(&[id], false)), format!("Fingerprint([{id:?}, {id:?}])"));
        assert_eq!(config(&bare, trust(&[], true)), "known");
        assert!(policy(&pinned, &trust(&[], true)).is_err());
    }
}
