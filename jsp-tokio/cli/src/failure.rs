//! What goes wrong, said to a person: what happened, what to do next, and an exit code for scripts.

use std::fmt::Display;
use std::process::ExitCode;

use jsp_tokio::proto::ConnectError as Start;
use jsp_tokio::{ConnectError, ConnectionError, OpenError, ReadError, SendError, WriteError};

use crate::term::{RED, RESET, tell};

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The exit codes beside 0. `--help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Failed = 1,
    Usage = 2,
    Untrusted = 3,
    Unreachable = 4,
}

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) text: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, text: text.into(), hint: None }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(text).exit(Exit::Usage)
    }

    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// What to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn report(self) -> ExitCode {
        tell!("{RED}error:{RESET} {}", self.text);
        for line in self.hint.iter().flat_map(|hint| hint.lines()) {
            tell!("  {line}");
        }
        ExitCode::from(self.exit as u8)
    }
}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    fn context<S: Display>(self, doing: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Failure>> Context<T> for std::result::Result<T, E> {
    fn context<S: Display>(self, doing: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| {
            let mut failure = error.into();
            failure.text = format!("{}: {}", doing(), failure.text);
            failure
        })
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        let failure = Self::new(error.to_string());
        match error {
            ConnectionError::PeerKeyMismatch { .. } => failure.exit(Exit::Untrusted).hint(
                "Somebody else answers at that address, or the server has a new key.\n\
                 Ask its owner for the id (the server prints it as it starts) and give that one.",
            ),
            ConnectionError::KeyRejected => failure.exit(Exit::Untrusted),
            ConnectionError::NoAnswer { .. } => failure
                .exit(Exit::Unreachable)
                .hint("Is the server running, are host and port right, does a firewall pass UDP?"),
            ConnectionError::Refused { .. } => failure.exit(Exit::Unreachable).hint(
                "The server runs something else: `send` needs `jsp recv` or `jsp serve` there, `ping` needs \
                     `jsp serve`,\n`chat` needs `jsp chat --listen`, `perf client` needs `jsp perf server`.",
            ),
            ConnectionError::IdleTimeout { .. }
            | ConnectionError::Undelivered { .. }
            | ConnectionError::VersionMismatch => failure.exit(Exit::Unreachable),
            _ => failure,
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Connection(error) => error.into(),
            ConnectError::Start(Start::TrustRequired { remote }) => {
                Self::new(format!("{remote} is not on this machine, and nothing says which key must answer there"))
                    .exit(Exit::Untrusted)
                    .hint(
                        "Ask the server's owner for its key id (the server prints it as it starts), then\n  \
                 write it behind the address:      host:port#jsp1-...\n  \
                 or give it as an option:          --pin jsp1-...\n  \
                 or give the whole key in a file:  --server-key FILE\n\
                 Or trust the key seen first, and that one only from then on:  --tofu",
                    )
            }
            ConnectError::Start(error) => Self::new(error.to_string()),
            ConnectError::Io(error) => Self::from(error).exit(Exit::Unreachable),
            other => Self::new(other.to_string()),
        }
    }
}

macro_rules! from_stream_error {
    ($($error:ident)*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                match error {
                    $error::Connection(error) => error.into(),
                    other => Self::new(other.to_string()),
                }
            }
        })*
    };
}

from_stream_error!(OpenError ReadError SendError WriteError);

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<jsp_tokio::ConfigError> for Failure {
    fn from(error: jsp_tokio::ConfigError) -> Self {
        Self::new(error.to_string())
    }
}
