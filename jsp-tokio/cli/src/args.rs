//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use jsp_tokio::{Compression, Config, ConfigBuilder, Congestion, Fec, KeyId};

use crate::address::Target;
use crate::network::Network;
use crate::observe;
use crate::term;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the server is not trusted or not the right one, 4 no connection.";

/// Send files, chat, measure and demonstrate JetStreamProto: post-quantum encrypted connections over UDP.
#[derive(Debug, Parser)]
#[command(name = "jsp", bin_name = "jsp", version, propagate_version = true, after_help = concat_help(
    "Start here:\n  jsp demo                     a file and messages over a lossy network, on this machine alone\n  \
     jsp serve                    a server; it prints the commands that reach it\n"
))]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) observe: Observe,
}

/// What is shown of connections.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Observe {
    /// Show what connections do; twice: every packet. Without it RUST_LOG says what, as in RUST_LOG=jsp=debug
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Write each connection to a qlog file in DIR, for viewers such as qvis
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) qlog: Option<PathBuf>,
    /// Append the secrets of each connection to FILE: whoever has them can read recordings of it. For debugging, with
    /// Wireshark
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_log: Option<PathBuf>,
}

fn concat_help(text: &str) -> String {
    format!("{text}\n{EXIT_CODES}")
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Keygen(Keygen),
    Serve(Serve),
    Recv(Recv),
    Send(Send),
    Chat(Chat),
    Ping(Ping),
    #[command(subcommand)]
    Perf(Perf),
    Demo(Demo),
}

/// Make a server's key.
///
/// Writes the secret key to FILE, readable by its owner only, and the public key to FILE.pub. Prints the key's id
/// (jsp1-...), by which clients pin it, and the public key (jsp1pk-...).
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  jsp keygen --out ~/server.key\n  jsp serve --key ~/server.key")]
pub(crate) struct Keygen {
    /// Where the secret key goes; never overwritten
    #[arg(long, value_name = "FILE", default_value = "jsp.key")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Listen {
    /// Address to listen on; port 0 takes a free one [default: port 4433 on all addresses]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Secret key file from `jsp keygen`; without one a new key is made that lives as long as the server
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

/// Echo streams and messages, and receive files.
///
/// Runs until Ctrl-C. Anybody may connect and learn the server's key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  jsp serve --listen 127.0.0.1:4433\n  jsp serve --key server.key --out /srv/inbox")]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) listen: Listen,
    /// Folder for received files
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) transport: Transport,
}

/// Receive files from `jsp send`.
///
/// A file that exists is never overwritten: the new one gets a number. While a file arrives its name ends in .part; it
/// gets its name when its SHA-256 is right.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  jsp recv --out inbox\n  jsp recv --listen 0.0.0.0:4433 --key server.key --once")]
pub(crate) struct Recv {
    #[command(flatten)]
    pub(crate) listen: Listen,
    /// Folder for received files
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// End after the first file that arrived whole
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) transport: Transport,
}

/// Whom to trust.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Trust {
    /// Id of the key that the server must hold; up to 4 times
    #[arg(long, value_name = "jsp1-...")]
    pub(crate) pin: Vec<KeyId>,
    /// File with the server's public key, or the key itself (jsp1pk-...)
    #[arg(long, value_name = "FILE", conflicts_with = "pin")]
    pub(crate) server_key: Option<String>,
    /// Trust the key seen first and remember it; later only that one
    #[arg(long, conflicts_with_all = ["pin", "server_key"])]
    pub(crate) tofu: bool,
    /// Seconds to try to connect
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) connect_timeout: Duration,
}

/// How this side sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, clap::Args)]
pub(crate) struct Transport {
    /// What decides how fast this side sends
    #[arg(long, value_enum, default_value_t)]
    congestion: Choice,
    /// Send this fast whatever is lost; for private links only
    ///
    /// For links that carry nothing else: anywhere else it takes the path from all others and may bring it to a
    /// standstill. Datagrams are counted whole; 10MB is 10 megabytes per second.
    #[arg(long, value_name = "BYTES_PER_SECOND", value_parser = pace, conflicts_with = "congestion")]
    fixed_rate_without_congestion_control: Option<u64>,
    /// Settings to start from; the options beside it count before it
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// Error correction of what this side sends: off, auto, or K+R
    ///
    /// Parity packets let the other side repair lost packets without a round trip. auto adds as many as the measured
    /// loss asks for; 10+2 always adds 2 to 10 packets.
    #[arg(long, value_name = "off|auto|K+R", value_parser = correction)]
    fec: Option<Fec>,
    /// Compress what this side sends, and take compressed data; both sides must want it
    #[arg(long)]
    pub(crate) compress: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// A model of the path, which tells loss from congestion
    #[default]
    Bbr,
    /// Every loss counts as congestion
    Cubic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// Networks that lose packets, change and are metered
    Mobile,
    /// A late message is worth nothing
    LowLatency,
    /// Large transfers, where only the rate counts
    Bulk,
}

impl Transport {
    fn congestion(self) -> Congestion {
        match (self.fixed_rate_without_congestion_control, self.congestion) {
            (Some(bytes_per_second), _) => Congestion::FixedRateWithoutCongestionControl { bytes_per_second },
            (None, Choice::Bbr) => Congestion::Bbr,
            (None, Choice::Cubic) => Congestion::Cubic,
        }
    }

    /// The settings of an endpoint that these options stand for.
    pub(crate) fn config(self) -> ConfigBuilder {
        self.handling().congestion(self.congestion())
    }

    /// The same without the congestion controller.
    pub(crate) fn handling(self) -> ConfigBuilder {
        let mut config = match self.profile {
            None => Config::builder(),
            Some(Profile::Mobile) => Config::mobile(),
            Some(Profile::LowLatency) => Config::low_latency(),
            Some(Profile::Bulk) => Config::bulk(),
        };
        if let Some(fec) = self.fec {
            config = config.fec(fec);
        }
        if observe::exports_secrets() {
            config = config.danger_export_secrets_to_observer(true);
        }
        if self.compress {
            config = config.compression(Compression::Adaptive).accept_compressed(true);
        }
        config
    }

    /// What is said about handling data, if anything is.
    pub(crate) fn described(self) -> Option<String> {
        let profile = self.profile.and_then(|profile| profile.to_possible_value());
        let profile = profile.map(|profile| format!("as for {}", profile.get_name()));
        let fec = self.fec.map(|fec| match fec {
            Fec::Off => "no error correction".to_owned(),
            Fec::On { sources, parity } => format!("{parity} parity packets for {sources} packets"),
            _ => "as much parity as the loss asks for".to_owned(),
        });
        let compressed = self.compress.then(|| "compressed".to_owned());
        let said: Vec<String> = [profile, fec, compressed].into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join(", "))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.fixed_rate_without_congestion_control, self.congestion) {
            (Some(rate), _) => write!(f, "not controlled: {}, whatever is lost", term::rate(rate as f64)),
            (None, Choice::Bbr) => f.write_str("bbr, a model of the path"),
            (None, Choice::Cubic) => f.write_str("cubic"),
        }
    }
}

const ADDRESS_HELP: &str = "\
An address is host:port#jsp1-..., as the server prints it. Without the key id, or one of the options --pin, \
--server-key and --tofu, only a server on this machine (127.0.0.1, ::1) can be reached.";

/// Send a file to `jsp recv` or `jsp serve`.
///
/// The file is streamed, however large. Success means: the receiver has it, and its SHA-256 is the sender's.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{ADDRESS_HELP}\n\nExample:\n  jsp send report.pdf example.org:4433#jsp1-..."))]
pub(crate) struct Send {
    /// The file
    pub(crate) file: PathBuf,
    /// host:port#jsp1-...
    #[arg(value_name = "ADDR")]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) trust: Trust,
    #[command(flatten)]
    pub(crate) transport: Transport,
}

/// Talk line by line, one to one or in a round.
///
/// One side listens, the others connect; everybody sees every line. Ctrl-D or Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "jsp chat --listen ADDR [--key FILE] [--name NAME]\n       jsp chat ADDR [--name NAME] [--pin jsp1-...]",
    after_help = format!("{ADDRESS_HELP}\n\nExamples:\n  jsp chat --listen 0.0.0.0:4433\n  jsp chat --name Ada example.org:4433#jsp1-...")
)]
pub(crate) struct Chat {
    /// host:port#jsp1-...
    #[arg(value_name = "ADDR", required_unless_present = "listen", conflicts_with_all = ["listen", "key"])]
    pub(crate) target: Option<Target>,
    #[command(flatten)]
    pub(crate) listen: Listen,
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// How the others see you
    #[arg(long, default_value = "guest")]
    pub(crate) name: String,
}

/// Measure the round-trip time to `jsp serve`.
///
/// Sends best-effort messages and waits for their echo. Exit code 0 if at least one came back.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{ADDRESS_HELP}\n\nExample:\n  jsp ping -c 10 127.0.0.1:4433"))]
pub(crate) struct Ping {
    /// host:port#jsp1-...
    #[arg(value_name = "ADDR")]
    pub(crate) target: Target,
    /// Probes
    #[arg(short, long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,
    /// Seconds between probes
    #[arg(short, long, value_name = "S", default_value = "0.5", value_parser = seconds)]
    pub(crate) interval: Duration,
    /// Bytes of a probe
    #[arg(short, long, default_value_t = 56, value_parser = clap::value_parser!(u32).range(8..=65_536))]
    pub(crate) size: u32,
    /// Seconds to wait for an echo
    #[arg(short = 'W', long, value_name = "S", default_value = "2", value_parser = seconds)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) trust: Trust,
}

/// Measure throughput and latency between two machines, or two processes.
#[derive(Debug, Subcommand)]
pub(crate) enum Perf {
    /// Wait for `jsp perf client`.
    Server(PerfServer),
    /// Measure: upload, download, latency of messages.
    Client(Box<PerfClient>),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  jsp perf server --listen 127.0.0.1:4433")]
pub(crate) struct PerfServer {
    #[command(flatten)]
    pub(crate) listen: Listen,
    /// Serve although this is a debug build
    #[arg(long)]
    pub(crate) allow_debug: bool,
    #[command(flatten)]
    pub(crate) transport: Transport,
}

#[derive(Debug, clap::Args)]
#[command(after_help = format!("{ADDRESS_HELP}\n\nExamples:\n  jsp perf client 127.0.0.1:4433 --size 1GiB\n  jsp perf client 127.0.0.1:4433 --size 16MiB --loss 5 --rtt 40 --profile low-latency\n\nWith --loss, --burst, --delay, --rtt or --rate a proxy stands between the two, on this machine alone."))]
pub(crate) struct PerfClient {
    /// host:port#jsp1-...
    #[arg(value_name = "ADDR")]
    pub(crate) target: Target,
    /// Bytes in each direction
    #[arg(long, default_value = "256MiB", value_parser = size)]
    pub(crate) size: u64,
    /// Messages, one after the other
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) messages: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) message_size: u32,
    /// Print figures although this is a debug build
    #[arg(long)]
    pub(crate) allow_debug: bool,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) trust: Trust,
    #[command(flatten)]
    pub(crate) transport: Transport,
}

/// Show everything at once, on this machine alone.
///
/// Client and server in one process, real UDP sockets on the loopback address, and between them a proxy that delays and
/// loses datagrams. A file crosses, beside it messages in three ways of delivery; then the report: handshake,
/// throughput, losses, what became of the messages and how long they took, and the file's SHA-256 on both ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The network of the demo is bad on purpose: 2 % of the datagrams are lost and a round trip takes 40 ms.
Two values are for the direction to the server and for the direction to the client.

Examples:
  jsp demo                            64 MiB of generated content
  jsp demo --congestion cubic         the same, slowed down by every loss
  jsp demo holiday.mp4                a file of yours; nothing is written to disk
  jsp demo --loss 5 --burst 3 --rtt 100 --fec auto
                                      lost packets repaired without a round trip
  jsp demo --compress                 words that compress to about a half
  jsp demo --loss 0 --delay 0         how fast it goes without a network
  jsp demo --loss 0,5 --delay 50 --rate 20 --seed 7")]
pub(crate) struct Demo {
    /// The file to send; generated content without one
    #[arg(conflicts_with = "size")]
    pub(crate) file: Option<PathBuf>,
    /// How much to generate
    #[arg(long, default_value = "64MiB", value_parser = size)]
    pub(crate) size: u64,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) transport: Transport,
}

/// `off`, `auto`, `10+2`.
fn correction(text: &str) -> Result<Fec, String> {
    let fixed = || {
        let (sources, parity) = text.split_once('+')?;
        let (sources, parity) = (sources.trim().parse().ok()?, parity.trim().parse().ok()?);
        ((1..=64).contains(&sources) && (1..=32).contains(&parity)).then_some(Fec::On { sources, parity })
    };
    match text {
        "off" => Ok(Fec::Off),
        "auto" => Ok(Fec::Auto),
        _ => {
            fixed().ok_or_else(|| "expected off, auto, or packets and parity packets such as 10+2, up to 64+32".into())
        }
    }
}

/// `64MiB`, `10 MB`, `1500`.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("K", 1 << 10),
        ("M", 1 << 20),
        ("G", 1 << 30),
        ("B", 1),
    ];
    let (digits, unit) =
        UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor))).unwrap_or((text, 1));
    let size = digits.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    size.ok_or_else(|| "expected a size such as 64MiB, 10MB or 1500".into())
}

fn pace(text: &str) -> Result<u64, String> {
    let pace = size(text).ok().filter(|&pace| pace > 0);
    pace.ok_or_else(|| "expected bytes per second, at least 1, such as 10MB or 1250000".into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = f64::from_str(text).ok().filter(|seconds| (0.0..=1e6).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds, for example 0.5".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("10 MB"), Ok(10_000_000));
        assert_eq!(size("1500"), Ok(1500));
        assert!(size("many").is_err());
        assert!(size("99999999999999GiB").is_err());
    }

    #[test]
    fn congestion_controllers() {
        let of = |options: &[&str]| {
            let args = Args::try_parse_from([&["jsp", "send", "file", "a:1"], options].concat())?;
            let Command::Send(send) = args.command else { panic!("another command") };
            Ok(send.transport.congestion())
        };
        let refused = |options: &[&str]| of(options).map_err(|error: clap::Error| error.to_string()).unwrap_err();
        const FIXED: &str = "--fixed-rate-without-congestion-control";
        assert_eq!(of(&[]).ok(), Some(Congestion::Bbr));
        assert_eq!(of(&["--congestion", "cubic"]).ok(), Some(Congestion::Cubic));
        let fixed = Congestion::FixedRateWithoutCongestionControl { bytes_per_second: 10_000_000 };
        assert_eq!(of(&[FIXED, "10MB"]).ok(), Some(fixed));
        assert!(refused(&["--congestion", "reno"]).contains("possible values: bbr, cubic"));
        assert!(refused(&[FIXED, "0"]).contains("expected bytes per second"));
        assert!(refused(&[FIXED, "1MB", "--congestion", "bbr"]).contains("cannot be used with"));
    }

    #[test]
    fn corrections_and_bursts() {
        assert_eq!(correction("off"), Ok(Fec::Off));
        assert_eq!(correction("auto"), Ok(Fec::Auto));
        assert_eq!(correction("10+2"), Ok(Fec::On { sources: 10, parity: 2 }));
        assert_eq!(correction("64 + 32"), Ok(Fec::On { sources: 64, parity: 32 }));
        for wrong in ["", "on", "10", "10+0", "0+1", "65+1", "1+33", "1+2+3", "-1+2"] {
            assert!(correction(wrong).is_err(), "{wrong}");
        }
        assert!(Args::try_parse_from(["jsp", "demo", "--rtt", "10", "--delay", "5"]).is_err());
        let of = |options: &[&str]| {
            let args = Args::try_parse_from([&["jsp", "demo"], options].concat()).expect("sound");
            let Command::Demo(demo) = args.command else { panic!("another command") };
            demo.transport.described()
        };
        assert_eq!(of(&[]), None);
        let said = of(&["--profile", "low-latency", "--fec", "10+2", "--compress"]).expect("something");
        assert_eq!(said, "as for low-latency, 2 parity packets for 10 packets, compressed");
    }

    #[test]
    fn chat_needs_one_of_both() {
        assert!(Args::try_parse_from(["jsp", "chat"]).is_err());
        assert!(Args::try_parse_from(["jsp", "chat", "--listen", "127.0.0.1:0"]).is_ok());
        assert!(Args::try_parse_from(["jsp", "chat", "a:1", "--listen", "127.0.0.1:0"]).is_err());
    }
}
