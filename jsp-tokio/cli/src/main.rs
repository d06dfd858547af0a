//! `jsp`: send files, chat, measure and demonstrate JetStreamProto from the command line.

mod address;
mod args;
mod chat;
mod demo;
mod effects;
mod failure;
mod files;
mod keys;
mod net;
mod network;
mod observe;
mod perf;
mod ping;
mod proxy;
mod send;
mod serve;
mod stats;
mod term;
mod transfer;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, Perf};
use failure::Result;

fn main() -> ExitCode {
    let args = Args::parse();
    match observe::start(&args.observe).and_then(|()| run(args.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match command {
            Command::Keygen(args) => keys::keygen(&args),
            Command::Serve(args) => serve::serve(&args).await,
            Command::Recv(args) => serve::recv(&args).await,
            Command::Send(args) => send::send(&args).await,
            Command::Chat(args) => chat::chat(&args).await,
            Command::Ping(args) => ping::ping(&args).await,
            Command::Perf(Perf::Server(args)) => perf::server(&args).await,
            Command::Perf(Perf::Client(args)) => perf::client(&args).await,
            Command::Demo(args) => demo::demo(&args).await,
        }
    });
    // A thread may still wait for a line of the standard input.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    done
}
