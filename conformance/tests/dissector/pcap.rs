//! Recordings as pcap files with nanoseconds, of raw IPv4 packets: what every tool reads.

use std::net::{IpAddr, SocketAddr};

use crate::session::Datagram;

const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const LINKTYPE_RAW: u32 = 101;

pub(crate) fn write(datagrams: &[Datagram]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [MAGIC_NANOSECONDS, 4 << 16 | 2, 0, 0, 65_535, LINKTYPE_RAW] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for datagram in datagrams {
        let packet = ip(datagram);
        let nanos = datagram.at.as_nanos();
        let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        for word in [seconds as u32, rest as u32, packet.len() as u32, packet.len() as u32] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&packet);
    }
    out
}

/// The IPv4 packet around a datagram. A UDP checksum of zero means that there is none.
fn ip(datagram: &Datagram) -> Vec<u8> {
    let (source, from_port) = v4(datagram.from);
    let (target, to_port) = v4(datagram.to);
    let udp_len = 8 + datagram.bytes.len() as u16;
    let mut out = vec![0x45, 0];
    out.extend_from_slice(&(20 + udp_len).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0x40, 0, 64, 17, 0, 0]);
    out.extend_from_slice(&source);
    out.extend_from_slice(&target);
    let sum = checksum(&out);
    out[10..12].copy_from_slice(&sum.to_be_bytes());
    for half in [from_port, to_port, udp_len, 0] {
        out.extend_from_slice(&half.to_be_bytes());
    }
    out.extend_from_slice(&datagram.bytes);
    out
}

fn v4(address: SocketAddr) -> ([u8; 4], u16) {
    let IpAddr::V4(ip) = address.ip() else { panic!("the simulator's addresses are IPv4") };
    (ip.octets(), address.port())
}

fn checksum(header: &[u8]) -> u16 {
    let halves = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = halves.sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}
