//! An echo server and its client in one process. Run: `cargo run -p jsp-tokio --example hello`
use jsp_tokio::{AppCode, ClientConfig, Config, Endpoint, SecretKey, Stream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A server is known by its key. Clients pin it; there are no certificates.
    let key = SecretKey::from_seed(jsp_tokio::random_seed()?);
    let trust = ClientConfig::pinned(key.public().clone());

    let server = Endpoint::bind("127.0.0.1:0", Config::builder().server_key(key).build()?).await?;
    let address = server.local_address();
    let echo = tokio::spawn(async move {
        let connection = server.accept().await.expect("the endpoint is open");
        while let Ok(Some(Stream::Messages(mut stream))) = connection.accept_stream().await {
            while let Ok(Some(message)) = stream.recv().await {
                stream.send(&message).await.expect("the client still listens");
            }
        }
    });

    let client = Endpoint::bind("127.0.0.1:0", Config::default()).await?;
    let connection = client.connect(address, &trust).await?;
    let mut stream = connection.open_messages().await?;
    stream.send(b"hello, post-quantum world").await?;
    println!("{}", String::from_utf8_lossy(&stream.recv().await?.unwrap_or_default()));
    connection.close(AppCode::ZERO, b"").await?; // everything is delivered when this returns
    Ok(echo.await?)
}
