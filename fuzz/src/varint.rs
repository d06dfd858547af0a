//! Reading and writing values, against a model on vectors.

use jsp_proto::internals::wire::{Reader, Writer, varint};

use crate::input::Input;

/// Reads the input by a script, and writes values by one and reads them back.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let script = input.chunk(64);
    read(script, input.clone().rest());
    write(script, &mut input);
}

/// The value of a variable-length integer and its length, worked out digit by digit.
fn model_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let len = 1 << (bytes.first()? >> 6);
    let digits = bytes.get(..len)?;
    let value = digits.iter().fold(0u128, |value, byte| value << 8 | u128::from(*byte));
    Some(((value % (1 << (8 * len - 2))) as u64, len))
}

fn read(script: &[u8], bytes: &[u8]) {
    let mut r = Reader::new(bytes);
    for step in script {
        let (before, rest) = (r.position(), &bytes[r.position()..]);
        let taken = match step % 8 {
            0 => r.u8().ok().map(|value| (rest[0] == value, 1)),
            1 => r.u16().ok().map(|value| (rest[..2] == value.to_be_bytes(), 2)),
            2 => r.u32().ok().map(|value| (rest[..4] == value.to_be_bytes(), 4)),
            3 => r.u64().ok().map(|value| (rest[..8] == value.to_be_bytes(), 8)),
            4 => {
                let (expected, found) = (model_varint(rest), r.varint().ok());
                assert_eq!(found, expected.map(|(value, _)| value));
                expected.map(|(_, len)| (true, len))
            }
            5 => {
                let wanted = usize::from(step >> 3);
                let found = r.bytes(wanted).ok();
                assert_eq!(found, rest.get(..wanted));
                found.map(|bytes| (true, bytes.len()))
            }
            6 => {
                let expected = model_varint(rest).and_then(|(length, header)| {
                    let end = header.checked_add(usize::try_from(length).ok()?)?;
                    rest.get(header..end).map(|bytes| (bytes, end))
                });
                assert_eq!(r.length_prefixed().ok(), expected.map(|(bytes, _)| bytes));
                expected.map(|(_, end)| (true, end))
            }
            _ => {
                let zeros = r.skip_zeros();
                assert!(rest[..zeros].iter().all(|byte| *byte == 0) && rest.get(zeros).is_none_or(|byte| *byte != 0));
                Some((true, zeros))
            }
        };
        let (right, taken) = taken.unwrap_or((true, 0));
        assert!(right, "step {step}");
        assert_eq!(r.position(), before + taken, "a failed read does not move");
        assert_eq!(r.remaining(), bytes.len() - r.position());
        assert_eq!(r.peek_u8(), bytes.get(r.position()).copied());
    }
}

fn write(script: &[u8], input: &mut Input<'_>) {
    let mut buffer = vec![0xee; input.below(200)];
    let room = buffer.len();
    let mut w = Writer::new(&mut buffer);
    let mut model = Vec::new();
    for step in script {
        let value = input.number();
        let encoded = match step % 5 {
            0 => vec![value as u8],
            1 => (value as u32).to_be_bytes().to_vec(),
            2 | 3 => {
                let len = varint::len(value);
                let mut bytes = value.to_be_bytes()[8 - len..].to_vec();
                bytes[0] |= (len.trailing_zeros() as u8) << 6;
                assert_eq!(model_varint(&bytes), Some((value, len)));
                bytes
            }
            _ => [&[step >> 4][..], &vec![0; usize::from(step >> 4)]].concat(),
        };
        let result = match step % 5 {
            0 => w.u8(value as u8),
            1 => w.u32(value as u32),
            2 | 3 => w.varint(value),
            _ => w.length_prefixed(&vec![0; usize::from(step >> 4)]),
        };
        assert_eq!(result.is_ok(), model.len() + encoded.len() <= room);
        if result.is_ok() {
            model.extend_from_slice(&encoded);
        }
        if *step == 0xff {
            w.truncate(usize::from(value as u8));
            model.truncate(usize::from(value as u8));
        }
        assert_eq!((w.written(), w.remaining()), (&model[..], room - model.len()));
    }
}
