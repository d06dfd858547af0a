//! A client that stays connected: it moves with its device from network to network, and comes back when its server was
//! restarted. Here the device changes its network every two seconds, for ten seconds.
//!
//! ```sh
//! cargo run -p jsp-tokio --example roaming
//! ```

use std::time::Duration;

use jsp_tokio::{BreakerConfig, ClientConfig, Config, Endpoint, Reconnector, SecretKey, Stream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = SecretKey::from_seed(jsp_tokio::random_seed()?);
    let trust = ClientConfig::pinned(key.public().clone());
    let server = Endpoint::bind("127.0.0.1:0", Config::mobile().server_key(key).build()?).await?;
    let address = server.local_address();
    tokio::spawn(async move {
        while let Some(connection) = server.accept().await {
            while let Ok(Some(Stream::Messages(mut stream))) = connection.accept_stream().await {
                while let Ok(Some(message)) = stream.recv().await {
                    if stream.send(&message).await.is_err() {
                        break;
                    }
                }
            }
        }
    });

    let client = Endpoint::bind("127.0.0.1:0", Config::mobile().build()?).await?;
    let reconnector = Reconnector::new(&client, [address], trust, BreakerConfig::new())?;
    let connection = reconnector.connection().await?;
    let mut stream = connection.open_messages().await?;
    for second in 1..=10 {
        stream.send(format!("second {second}").as_bytes()).await?;
        let echo = stream.recv().await?.ok_or("the server has closed the stream")?;
        println!("{} over {}", String::from_utf8_lossy(&echo), client.local_address());
        tokio::time::sleep(Duration::from_secs(1)).await;
        if second % 2 == 0 {
            // Whatever tells the program that the network has changed; the connection goes on.
            client.rebind("127.0.0.1:0").await?;
        }
    }
    println!("{} paths, one connection", connection.stats().path_changes + 1);
    client.shutdown().await;
    Ok(())
}
