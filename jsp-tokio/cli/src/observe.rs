//! What the options of all commands show of connections: events on standard error, and qlog files.

use std::path::PathBuf;
use std::sync::OnceLock;

use jsp_tokio::Endpoint;
use jsp_tokio::proto::qlog::Qlog;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::Observe;
use crate::failure::{Context, Failure, Result};
use crate::term::tell;

/// Where qlog files go. The same for all endpoints of the program.
static QLOG: OnceLock<PathBuf> = OnceLock::new();

/// To be called before the first endpoint is made.
pub(crate) fn start(args: &Observe) -> Result<()> {
    let filter = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty() && args.verbose == 0);
    let filter = match args.verbose {
        0 => filter,
        1 => Some("jsp=debug".into()),
        _ => Some("jsp=trace".into()),
    };
    if let Some(filter) = filter {
        let filter: Targets = filter.parse().map_err(|error| {
            Failure::new(format!("RUST_LOG is not a filter: {error}")).hint("For example RUST_LOG=jsp=debug.")
        })?;
        let events = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
        tracing_subscriber::registry().with(events).with(filter).init();
    }
    if let Some(dir) = &args.qlog {
        let _ = QLOG.set(dir.clone());
    }
    Ok(())
}

/// Shows the connections of an endpoint as the command line wants it.
pub(crate) fn watch(endpoint: &Endpoint) -> Result<()> {
    if let Some(dir) = QLOG.get() {
        let qlog = Qlog::dir(dir, |error| tell!("no more qlog: {error}"))
            .map_err(Failure::from)
            .context(|| format!("cannot write to {}", dir.display()))?;
        endpoint.set_observer(Some(Box::new(qlog)));
    }
    Ok(())
}
