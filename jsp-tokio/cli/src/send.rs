//! `jsp send`.

use jsp_tokio::AppCode;
use tokio::fs::File;

use crate::args::Send;
use crate::effects;
use crate::failure::{Context, Failure, Result};
use crate::net;
use crate::term::{Progress, bytes, duration, printable, rate, say, tell};
use crate::transfer::{self, Header};

pub(crate) async fn send(args: &Send) -> Result<()> {
    let path = args.file.display();
    let mut file = File::open(&args.file).await.context(|| format!("cannot open {path}"))?;
    file.set_max_buf_size(256 << 10);
    let meta = file.metadata().await?;
    if !meta.is_file() {
        return Err(Failure::new(format!("{path} is no ordinary file"))
            .hint("Pack a folder first: tar czf folder.tar.gz folder, then send folder.tar.gz."));
    }
    let name = args.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let header = Header { name, size: meta.len() };

    let (endpoint, connection) = net::connect(&args.target, &args.trust, args.transport, net::FILE).await?;
    tell!("connected to {}", net::describe(&connection));
    let begun = std::time::Instant::now();
    let mut progress = Progress::new("sending", header.size);
    let stream = connection.open_bi().await?;
    let sent = tokio::select! {
        sent = transfer::send(stream, &header, &mut file, |done| progress.set(done)) => sent,
        () = net::interrupted() => {
            connection.abort(AppCode::new(1), b"interrupted");
            Err(Failure::new("interrupted; the receiver keeps nothing"))
        }
    };
    drop(progress);
    match sent {
        Ok(receipt) => {
            let time = begun.elapsed();
            let pace = rate(header.size as f64 / time.as_secs_f64());
            say!(
                "sent {} in {}, {pace}; saved there as {}",
                bytes(header.size),
                duration(time),
                printable(&receipt.saved_as)
            );
            for (name, line) in effects::lines(&connection.stats(), None) {
                say!("{name}: {line}");
            }
            say!("{}  {path}", transfer::hex(&receipt.hash));
            // The receiver has confirmed everything: a close that is not confirmed too changes nothing.
            let _ = connection.close(AppCode::ZERO, b"").await;
            Ok(())
        }
        Err(failure) => {
            endpoint.shutdown().await;
            Err(failure)
        }
    }
}
