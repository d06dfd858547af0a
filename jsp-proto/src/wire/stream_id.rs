//! Stream ids and the attributes that stand in them (specification section 4.2).

use super::{Side, varint};

/// What the bytes of a stream mean (specification section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// A plain byte stream.
    Bytes = 0,
    /// Messages, delivered in the order they were sent.
    Ordered = 1,
    /// Messages, delivered as they become complete.
    Unordered = 2,
    /// A byte stream coded in blocks, so that it can be compressed (specification section 4.6). To the application it is
    /// a byte stream like any other.
    Blocks = 3,
}

impl StreamKind {
    /// Whether it carries messages; otherwise bytes, encoded or not.
    pub const fn has_messages(self) -> bool {
        matches!(self, Self::Ordered | Self::Unordered)
    }
}

/// The low four bits of a stream id: kind, direction and initiator (specification section 4.2).
///
/// Each of the 16 types has its own index space and its own limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamType(u8);

impl StreamType {
    /// Every type, in the order of its number.
    pub const ALL: [Self; 16] = {
        let mut all = [Self(0); 16];
        let mut i = 0;
        while i < 16 {
            all[i] = Self(i as u8);
            i += 1;
        }
        all
    };

    /// The most streams of one type there can be: the index above it would not fit a stream id.
    pub const MAX_STREAMS: u64 = 1 << 58;

    /// The type with this number, if it is below 16.
    pub const fn new(number: u8) -> Option<Self> {
        if number < 16 { Some(Self(number)) } else { None }
    }

    /// The type with these attributes.
    pub const fn of(kind: StreamKind, uni: bool, initiator: Side) -> Self {
        Self((kind as u8) << 2 | (uni as u8) << 1 | initiator as u8)
    }

    /// What the bytes mean.
    pub const fn kind(self) -> StreamKind {
        match self.0 >> 2 {
            0 => StreamKind::Bytes,
            1 => StreamKind::Ordered,
            2 => StreamKind::Unordered,
            _ => StreamKind::Blocks,
        }
    }

    /// Whether only the initiator sends.
    pub const fn is_uni(self) -> bool {
        self.0 & 0b10 != 0
    }

    /// Who opens streams of this type.
    pub const fn initiator(self) -> Side {
        if self.0 & 1 == 0 { Side::Client } else { Side::Server }
    }

    /// The stream of this type with this index. An index of 2^58 or more does not fit; its high bits are lost.
    pub const fn id(self, index: u64) -> StreamId {
        StreamId((index << 4 & varint::MAX) | self.0 as u64)
    }

    /// The number, 0 to 15.
    pub const fn as_u8(self) -> u8 {
        self.0
    }

    /// The number, 0 to 15, for use as an index.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// The id of a stream: `index << 4 | kind << 2 | uni << 1 | initiator` (specification section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

impl StreamId {
    /// The id with this number, as it stands in frames. Bits above the 62nd are lost.
    pub const fn from_wire(number: u64) -> Self {
        Self(number & varint::MAX)
    }

    /// The id of the stream with these attributes. An index of 2^58 or more does not fit; its high bits are lost.
    pub const fn new(index: u64, kind: StreamKind, uni: bool, initiator: Side) -> Self {
        StreamType::of(kind, uni, initiator).id(index)
    }

    /// The number, as it stands in frames.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The position among the streams of the same type, from 0.
    pub const fn index(self) -> u64 {
        self.0 >> 4
    }

    /// The low four bits.
    pub const fn ty(self) -> StreamType {
        StreamType((self.0 & 0xf) as u8)
    }

    /// What the bytes mean.
    pub const fn kind(self) -> StreamKind {
        self.ty().kind()
    }

    /// Whether only the initiator sends.
    pub const fn is_uni(self) -> bool {
        self.ty().is_uni()
    }

    /// Who opened the stream.
    pub const fn initiator(self) -> Side {
        self.ty().initiator()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_stand_in_the_low_bits() {
        let sid = StreamId::new(5, StreamKind::Unordered, true, Side::Server);
        assert_eq!(sid.as_u64(), 5 << 4 | 2 << 2 | 1 << 1 | 1);
        assert_eq!(sid.index(), 5);
        assert_eq!(sid.kind(), StreamKind::Unordered);
        assert!(sid.is_uni());
        assert_eq!(sid.initiator(), Side::Server);
        assert_eq!(sid.ty().as_usize(), 11);
        assert_eq!(StreamId::from_wire(sid.as_u64()), sid);
    }

    #[test]
    fn every_type_is_the_sum_of_its_attributes() {
        for (number, ty) in StreamType::ALL.into_iter().enumerate() {
            assert_eq!(ty.as_usize(), number);
            assert_eq!(StreamType::new(number as u8), Some(ty));
            assert_eq!(StreamType::of(ty.kind(), ty.is_uni(), ty.initiator()), ty);
            let last = ty.id(StreamType::MAX_STREAMS - 1);
            assert_eq!((last.ty(), last.index()), (ty, StreamType::MAX_STREAMS - 1));
            assert!(last.as_u64() <= varint::MAX);
        }
        assert_eq!(StreamType::new(16), None);
    }
}
