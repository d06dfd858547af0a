//! Version negotiation packets.

use jsp_proto::internals::wire::Writer;
use jsp_proto::internals::wire::header::{
    VERSION, decode_invariants, decode_version_negotiation, encode_version_negotiation,
};

use crate::input::Input;

/// Reads the bytes as one, and reads one that is made of them.
pub fn run(data: &[u8]) {
    if let Some(read) = decode_version_negotiation(data) {
        let invariants = decode_invariants(data).expect("a long header");
        let versions: Vec<u8> = read.versions().flat_map(u32::to_be_bytes).collect();
        assert_eq!((invariants.version, invariants.rest), (0, &versions[..]));
        assert_eq!((invariants.dcid, invariants.scid), (read.dcid, read.scid));
        assert!(!versions.is_empty());
    }
    let mut input = Input::new(data);
    let grease = input.u32();
    let (dcid, scid) = (input.chunk(300), input.chunk(300));
    let mut packet = [0; 1200];
    let mut w = Writer::new(&mut packet[..input.below(1200)]);
    if encode_version_negotiation(dcid, scid, grease, &mut w).is_err() {
        assert!(dcid.len() > 255 || scid.len() > 255 || w.remaining() < 15 + dcid.len() + scid.len());
        assert_eq!(w.position(), 0);
        return;
    }
    let read = decode_version_negotiation(w.written()).expect("its own");
    assert_eq!((read.dcid, read.scid), (dcid, scid));
    let versions: Vec<u32> = read.versions().collect();
    assert_eq!((versions.len(), versions[0]), (2, VERSION));
    assert_eq!((versions[1] & 0x0f0f_0f0f, versions[1] & 0xf0f0_f0f0), (0x0a0a_0a0a, grease & 0xf0f0_f0f0));
}
