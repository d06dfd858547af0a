//! Sends the lines of its standard input to an echo server and prints what comes back.
//! Run: `cargo run -p jsp-smol --example smol_echo_client -- 127.0.0.1:4433 jsp1-...`
use jsp_smol::{AppCode, ClientConfig, Config, Endpoint};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    smol::block_on(run())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:4433".to_owned());
    // The key id that the server printed. Without one only servers on the loopback address can be reached.
    let trust = match arguments.next() {
        Some(id) => ClientConfig::fingerprints([id.parse()?]),
        None => ClientConfig::new(),
    };
    let client = Endpoint::bind("[::]:0", Config::default()).await?;
    let connection = client.connect(address, &trust).await?;
    let mut stream = connection.open_messages().await?;
    for line in std::io::stdin().lines().map_while(Result::ok).filter(|line| !line.is_empty()) {
        stream.send(line.as_bytes()).await?;
        println!("{}", String::from_utf8_lossy(&stream.recv().await?.unwrap_or_default()));
    }
    connection.close(AppCode::ZERO, b"bye").await?;
    Ok(())
}
