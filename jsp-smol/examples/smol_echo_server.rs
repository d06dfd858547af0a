//! Echoes whatever it is sent. Run: `cargo run -p jsp-smol --example smol_echo_server -- 127.0.0.1:4433`
use jsp_smol::{Config, Connection, Endpoint, KeyFetch, SecretKey, Stream};
use smol::io::AsyncWriteExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    smol::block_on(run())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4433".to_owned());
    // A real server keeps the seed in a file that only it can read, and clients pin the key for good.
    let key = SecretKey::from_seed(jsp_smol::random_seed()?);
    let id = key.public().key_id();
    // Open: clients may fetch the key and look at its id, so that the id is all they need to be told.
    let config = Config::builder().server_key(key).key_fetch(KeyFetch::Open).build()?;
    let server = Endpoint::bind(address, config).await?;
    println!("listening on {}, key {id}", server.local_address());
    while let Some(connection) = server.accept().await {
        smol::spawn(echo(connection)).detach();
    }
    Ok(())
}

async fn echo(connection: Connection) {
    while let Ok(Some(stream)) = connection.accept_stream().await {
        match stream {
            Stream::Bytes(mut send, mut recv) => smol::spawn(async move {
                let _ = smol::io::copy(&mut recv, &mut send).await;
                let _ = send.close().await;
            })
            .detach(),
            Stream::Messages(mut stream) => smol::spawn(async move {
                while let Ok(Some(message)) = stream.recv().await {
                    let Ok(()) = stream.send(&message).await else { break };
                }
            })
            .detach(),
            _ => {}
        }
    }
    println!("{:?} left", connection.close_reason());
}
