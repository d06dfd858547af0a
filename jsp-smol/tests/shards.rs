//! One shard per thread, each on an executor of its own, with the kernel's own choice of the socket.
#![cfg(target_os = "linux")]

mod common;

use std::num::NonZeroUsize;
use std::thread;

use common::{client, config, trust, within};
use jsp_smol::proto::driver::system;
use jsp_smol::{AppCode, Endpoint, Stream};
use smol::LocalExecutor;

const SHARDS: NonZeroUsize = NonZeroUsize::new(4).unwrap();
const SOCKETS: usize = 24;
const EACH: usize = 5;

/// Serves one shard on this thread until it is shut down, and says how many connections it had.
fn serve(endpoint: Endpoint, driver: impl Future<Output = ()> + 'static) -> u64 {
    let executor = LocalExecutor::new();
    executor.spawn(driver).detach();
    smol::block_on(executor.run(async {
        while let Some(connection) = endpoint.accept().await {
            executor
                .spawn(async move {
                    while let Ok(Some(Stream::Messages(mut stream))) = connection.accept_stream().await {
                        while let Ok(Some(message)) = stream.recv().await {
                            stream.send(&message).await.expect("the client is there");
                        }
                    }
                })
                .detach();
        }
        endpoint.shutdown().await;
    }));
    endpoint.stats().connections_confirmed
}

#[test]
fn every_shard_on_a_thread_of_its_own() {
    let sockets = system::bind_shards([([127, 0, 0, 1], 0).into()], SHARDS).expect("a free port");
    let shards = Endpoint::driven_shards(sockets, config(|config| config)).expect("sockets");
    let (mut endpoints, mut threads) = (Vec::new(), Vec::new());
    for (endpoint, driver) in shards {
        endpoints.push(endpoint.clone());
        threads.push(thread::spawn(move || serve(endpoint, driver)));
    }
    let address = endpoints[0].local_address();
    smol::block_on(async {
        for _ in 0..SOCKETS {
            let client = client().await;
            for _ in 0..EACH {
                let connection = within("connecting", 10, client.connect(address, &trust())).await.expect("connected");
                let mut stream = connection.open_messages().await.expect("open");
                stream.send(b"hello").await.expect("open");
                let echo = within("the echo", 10, stream.recv()).await;
                assert_eq!(echo, Ok(Some(b"hello".to_vec())));
                connection.close(AppCode::ZERO, b"").await.expect("delivered");
            }
        }
        for endpoint in &endpoints {
            within("the shutdown", 10, endpoint.shutdown()).await;
        }
    });
    let served: Vec<u64> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
    assert_eq!(served.iter().sum::<u64>(), (SOCKETS * EACH) as u64);
    assert!(served.iter().all(|&count| count > 0), "the kernel uses all sockets: {served:?}");
}

#[test]
fn shards_on_the_global_executor() {
    smol::block_on(async {
        let shards = Endpoint::bind_shards("127.0.0.1:0", config(|config| config), SHARDS).await.expect("a free port");
        let client = client().await;
        let connection = client.connect(shards[0].local_address(), &trust()).await.expect("connected");
        connection.close(AppCode::ZERO, b"").await.expect("delivered");
        for shard in &shards {
            within("the shutdown", 10, shard.shutdown()).await;
        }
        assert_eq!(shards.iter().map(|shard| shard.stats().handshakes_started).sum::<u64>(), 1);
    });
}
