//! What the options of all commands show of connections: events on standard error, qlog files, and key logs.

use std::path::PathBuf;
use std::sync::OnceLock;

use jsp_tokio::Endpoint;
use jsp_tokio::proto::Observer;
use jsp_tokio::proto::driver::KeyLog;
use jsp_tokio::proto::qlog::Qlog;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::Observe;
use crate::failure::{Context, Failure, Result};
use crate::term::tell;

/// Where qlog files go. The same for all endpoints of the program.
static QLOG: OnceLock<PathBuf> = OnceLock::new();
/// The file for secrets. Nothing but the option sets it.
static KEY_LOG: OnceLock<PathBuf> = OnceLock::new();

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
    if let Some(file) = &args.key_log {
        tell!("the secrets of all connections go to {}: whoever reads them reads what is said", file.display());
        let _ = KEY_LOG.set(file.clone());
    }
    Ok(())
}

/// Shows the connections of an endpoint as the command line wants it.
pub(crate) fn watch(endpoint: &Endpoint) -> Result<()> {
    let qlog = QLOG.get().map(|dir| {
        Qlog::dir(dir, |error| tell!("no more qlog: {error}"))
            .map_err(Failure::from)
            .context(|| format!("cannot write to {}", dir.display()))
    });
    let keys = KEY_LOG.get().map(|file| {
        KeyLog::append(file, |error| tell!("no more secrets: {error}"))
            .map_err(Failure::from)
            .context(|| format!("cannot write to {}", file.display()))
    });
    let observer: Box<dyn Observer> = match (qlog.transpose()?, keys.transpose()?) {
        (None, None) => return Ok(()),
        (Some(qlog), None) => Box::new(qlog),
        (None, Some(keys)) => Box::new(keys),
        (Some(qlog), Some(keys)) => Box::new((keys, qlog)),
    };
    endpoint.set_observer(Some(observer));
    Ok(())
}

/// Whether endpoints are to show their secrets.
pub(crate) fn exports_secrets() -> bool {
    KEY_LOG.get().is_some()
}
