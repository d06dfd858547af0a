//! A wire between a client and a server that can be cut.

use std::net::{SocketAddr, UdpSocket};
use std::thread::{self, JoinHandle};

/// Forwards datagrams between a server and the one client that sends to it, until it is cut.
pub(super) struct Relay {
    socket: UdpSocket,
    forwarding: Option<JoinHandle<()>>,
}

impl Relay {
    /// A wire to this server.
    pub(super) fn to(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.try_clone().expect("a socket can be cloned");
        let forwarding = thread::spawn(move || forward(&port, server));
        Self { socket, forwarding: Some(forwarding) }
    }

    /// Where the client connects to.
    pub(super) fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// Forwards nothing any more. The socket stays, so that nobody is told.
    pub(super) fn cut(&mut self) {
        // Its own address is the word to stop.
        self.socket.send_to(b"", self.address()).expect("the loopback interface");
        if let Some(forwarding) = self.forwarding.take() {
            forwarding.join().expect("no panic");
        }
    }

    /// As [`cut`](Self::cut), and closes the socket: the system tells whoever sends to it.
    pub(super) fn vanish(mut self) {
        self.cut();
    }
}

fn forward(port: &UdpSocket, server: SocketAddr) {
    let own = port.local_addr().expect("bound");
    let mut client = None;
    let mut buffer = [0; 65_536];
    loop {
        // The system may report here that an earlier datagram met nobody.
        let Ok((len, from)) = port.recv_from(&mut buffer) else { continue };
        let to = match from {
            from if from == own => return,
            from if from == server => client,
            from => {
                client = Some(from);
                Some(server)
            }
        };
        if let Some(to) = to {
            // A datagram that cannot be sent is lost, as on any wire.
            let _ = port.send_to(&buffer[..len], to);
        }
    }
}
