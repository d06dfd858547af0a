//! Long headers, what all versions share of them, and the fragments inside.

use jsp_proto::internals::wire::header::{
    Fragment, HeaderError, MAX_MESSAGE, MAX_TOKEN, VERSION, decode_invariants, decode_long, is_long, long_type,
};
use jsp_proto::internals::wire::{Side, Writer};

/// Reads the bytes as a packet of either side and as a fragment; what was read is written again as it was.
pub fn run(data: &[u8]) {
    for side in [Side::Client, Side::Server] {
        header(data, side);
    }
    fragment(data);
}

fn header(data: &[u8], side: Side) {
    let invariants = decode_invariants(data);
    assert!(invariants.is_none() || is_long(data));
    match decode_long(data, side) {
        Ok(header) => {
            let invariants = invariants.expect("a header of this version is one of any");
            assert_eq!(invariants.version, VERSION);
            assert_eq!((invariants.dcid, invariants.scid), (header.dcid.as_slice(), header.scid.as_slice()));
            assert_eq!(long_type(data), Some(header.ty));
            assert!(header.ty.is_sent_by(side) && header.from == side);
            assert!(header.index < header.count && header.count <= 4 && header.token.len() <= MAX_TOKEN);
            assert!(header.payload_at <= data.len());
            let mut again = vec![0; header.encoded_len()];
            let mut w = Writer::new(&mut again);
            header.encode(&mut w).expect("it says how long it is");
            assert_eq!(w.remaining(), 0);
            // A token's length may be written longer than it needs to be; all else has one form.
            let reread = decode_long(&again, side).expect("its own");
            assert_eq!(jsp_proto::wire::LongHeader { payload_at: header.payload_at, ..reread }, header);
            assert!(again.len() <= header.payload_at && (again.len() < header.payload_at || data.starts_with(&again)));
        }
        Err(HeaderError::NotLong) => assert!(!is_long(data)),
        Err(HeaderError::Truncated) => assert!(data.is_empty() || is_long(data)),
        Err(HeaderError::Version { version, dcid, scid }) => {
            let invariants = invariants.expect("the ids were read");
            assert!(version != VERSION && version == invariants.version);
            assert_eq!((invariants.dcid, invariants.scid), (dcid, scid));
        }
        Err(_) => assert!(invariants.is_some_and(|invariants| invariants.version == VERSION)),
    }
}

fn fragment(data: &[u8]) {
    let Ok(fragment) = Fragment::decode(data) else { return };
    let end = usize::from(fragment.offset) + fragment.data.len();
    assert!(!fragment.data.is_empty() && end <= usize::from(fragment.total));
    assert!(usize::from(fragment.total) <= MAX_MESSAGE);
    let mut again = vec![0; Fragment::HEADER_LEN + fragment.data.len()];
    fragment.encode(&mut Writer::new(&mut again)).expect("room");
    assert!(data.starts_with(&again));
}
