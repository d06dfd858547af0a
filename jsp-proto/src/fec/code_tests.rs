use alloc::vec;

use proptest::prelude::*;

use super::*;

impl Sources {
    fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.heads().filter_map(|head| head.get(LEN..))
    }

    fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

const CLASSES: [u8; 6] = [1, 2, 4, 8, 16, 32];

fn sources<T: AsRef<[u8]>>(payloads: &[T]) -> Sources {
    let mut sources = Sources::new();
    payloads.iter().for_each(|payload| sources.push(payload.as_ref()));
    sources
}

/// Payloads of different lengths and contents, the longest first.
fn payloads(count: usize, longest: usize) -> Vec<Vec<u8>> {
    let byte = |place: usize, at: usize| (place * 31 + at * 7 + 3) as u8;
    let len = |place: usize| longest - (place * 5).min(longest);
    (0..count).map(|place| (0..len(place)).map(|at| byte(place, at)).collect()).collect()
}

/// Repairs the block of which the sources in `lost` are missing and the parities in `held` are there.
fn repair(
    decoder: &mut Decoder,
    (payloads, class): (&[Vec<u8>], u8),
    (symbols, symbol_len): (&[u8], usize),
    lost: &[usize],
    held: &[u8],
) -> Option<Vec<Vec<u8>>> {
    let shape = Shape { sources: payloads.len(), class, symbol_len };
    let known = payloads.iter().enumerate().filter(|(place, _)| !lost.contains(place));
    let parity = held.iter().map(|&index| (index, symbols.chunks_exact(symbol_len).nth(index.into()).unwrap()));
    let mut out = vec![9; 5];
    decoder.repair(shape, known.map(|(place, payload)| (place, payload.as_slice())), parity, &mut out)?;
    Some(out.chunks_exact(symbol_len).map(|symbol| payload_of(symbol).unwrap().to_vec()).collect())
}

#[test]
fn symbols_carry_their_length_and_are_even() {
    assert_eq!((symbol_len(0), symbol_len(1), symbol_len(2), symbol_len(1160)), (2, 4, 4, 1162));
    assert_eq!(payload_of(&[0, 2, 7, 8]), Some(&[7, 8][..]));
    assert_eq!(payload_of(&[0, 1, 7, 0]), Some(&[7][..]));
    assert_eq!(payload_of(&[0, 0]), Some(&[][..]));
    for bad in [&[0, 1, 7, 8][..], &[0, 3, 7, 8], &[1, 0, 0, 0], &[0], &[]] {
        assert_eq!(payload_of(bad), None, "{bad:?}");
    }
}

#[test]
fn sources_are_what_was_pushed() {
    let mut block = sources(&[&b"one"[..], b"", b"three"]);
    assert_eq!((block.len(), block.max_payload(), block.is_empty()), (3, 5, false));
    assert_eq!(block.iter().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
    let memory = block.memory();
    block.clear();
    assert!(block.is_empty() && block.max_payload() == 0 && block.iter().next().is_none());
    block.push(b"another");
    assert_eq!((block.len(), block.memory()), (1, memory));
}

#[test]
fn impossible_blocks_are_refused() {
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    assert_eq!(encoder.encode(&Sources::new(), 1, &mut out), None);
    for count in [1, 64, 65] {
        let block = sources(&payloads(count, 9));
        for class in 0..=u8::MAX {
            let expected = (count <= 64 && CLASSES.contains(&class)).then_some(12);
            assert_eq!(encoder.encode(&block, class, &mut out), expected, "{count} sources, class {class}");
        }
    }
}

#[test]
fn class_one_is_what_the_crate_computes_for_one_parity() {
    for count in [1, 2, 10, 63, 64] {
        for longest in [0, 1, 61, 62, 64, 1160] {
            let payloads = payloads(count, longest);
            let block = sources(&payloads);
            let mut ours = Vec::new();
            let symbol_len = Encoder::new().encode(&block, 1, &mut ours).unwrap();
            let mut theirs = Vec::new();
            let shape = Shape { sources: count, class: 1, symbol_len };
            Encoder::new().encode_class(&block, shape, &mut theirs).unwrap();
            assert_eq!(ours, theirs, "{count} sources of {longest} bytes");
            let mut decoder = Decoder::new();
            let known = payloads.iter().map(Vec::as_slice).enumerate().skip(1);
            let (mut direct, mut crates) = (Vec::new(), Vec::new());
            let parity = || core::iter::once((0, ours.as_slice()));
            decoder.repair(shape, known.clone(), parity(), &mut direct).unwrap();
            decoder.repair_class(shape, known, parity(), &mut crates).unwrap();
            assert_eq!(direct, crates);
        }
    }
}

/// A block closed early has fewer sources and is otherwise the same: the missing ones count as zero symbols. So parity
/// can be computed as if the block were full.
#[test]
fn missing_tail_symbols_are_zero_symbols() {
    for class in [2_u8, 4, 8, 16, 32] {
        for count in [1, 2, 3, 9, 31, 33] {
            let code = |sources: usize, payloads: &[Vec<u8>]| {
                let mut code =
                    HighRateEncoder::new(sources, class.into(), 64, DefaultEngine::new(), None).expect("possible");
                payloads.iter().for_each(|payload| code.add_original_shard(payload).expect("one more"));
                (payloads.len()..sources).for_each(|_| code.add_original_shard([0; 64]).expect("one more"));
                code.encode().expect("all are there").recovery_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
            };
            let symbols: Vec<Vec<u8>> = (0..count).map(|place| vec![place as u8 + 1; 64]).collect();
            assert_eq!(code(count, &symbols), code(64, &symbols), "class {class}, {count} sources");
        }
    }
}

#[test]
fn too_little_or_what_does_not_fit_repairs_nothing() {
    let payloads = payloads(5, 40);
    let mut symbols = Vec::new();
    for class in [1, 2, 8] {
        let symbol_len = Encoder::new().encode(&sources(&payloads), class, &mut symbols).unwrap();
        let mut decoder = Decoder::new();
        let held: Vec<u8> = (0..class).collect();
        let lost: Vec<usize> = (0..5.min(usize::from(class))).collect();
        let block = (&payloads[..], class);
        assert!(repair(&mut decoder, block, (&symbols, symbol_len), &lost, &held).is_some());
        assert_eq!(repair(&mut decoder, block, (&symbols, symbol_len), &lost, &held[..lost.len() - 1]), None);
        // A source longer than the block's symbols, a parity of another length, and one beyond the class.
        let mut attempt = |len: usize, payload: &[u8], parity: &[(u8, &[u8])]| {
            let shape = Shape { sources: 2, class, symbol_len: len };
            decoder.repair(shape, core::iter::once((0, payload)), parity.iter().copied(), &mut Vec::new())
        };
        assert_eq!(attempt(4, &[1, 2, 3], &[(0, &[0; 4])]), None);
        assert_eq!(attempt(4, &[1, 2], &[(0, &[0; 6])]), None);
        assert_eq!(attempt(3, &[1], &[(0, &[0; 3])]), None);
        assert_eq!(attempt(4, &[1, 2], &[(0, &[0; 4])]), Some(()));
    }
    let shape = Shape { sources: 2, class: 4, symbol_len: 4 };
    let attempt = |sources: &[(usize, &[u8])], parity: &[(u8, &[u8])]| {
        Decoder::new().repair(shape, sources.iter().copied(), parity.iter().copied(), &mut Vec::new())
    };
    assert_eq!(attempt(&[(2, &[1])], &[(0, &[0; 4])]), None);
    assert_eq!(attempt(&[(0, &[1])], &[(4, &[0; 4])]), None);
    assert_eq!(attempt(&[], &[(1, &[0; 4]), (1, &[0; 4])]), None);
}

#[test]
fn use_after_use_needs_no_more_memory() {
    warm_up();
    let (mut encoder, mut decoder, mut block) = (Encoder::new(), Decoder::new(), Sources::new());
    let (mut symbols, mut held) = (Vec::new(), None);
    for round in 0..50 {
        let class = CLASSES[5 - round % 6];
        let payloads = payloads(64 - round, 1200 - round);
        block.clear();
        payloads.iter().for_each(|payload| block.push(payload));
        let symbol_len = encoder.encode(&block, class, &mut symbols).unwrap();
        let repaired = repair(&mut decoder, (&payloads, class), (&symbols, symbol_len), &[0], &[0]).unwrap();
        assert_eq!(repaired, payloads[..1]);
        let memory = (block.memory(), symbols.capacity(), encoder.symbol.capacity(), decoder.symbol.capacity());
        assert_eq!(*held.get_or_insert(memory), memory, "round {round}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is lost, if as many parities are there the payloads come back as they were.
    #[test]
    fn any_k_symbols_suffice(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..150), 1..=64),
        class in prop::sample::select(&CLASSES),
        order in any::<prop::sample::Index>(),
        seed in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let mut symbols = Vec::new();
        let symbol_len = Encoder::new().encode(&sources(&payloads), class, &mut symbols).unwrap();
        prop_assert_eq!(symbols.len(), symbol_len * usize::from(class));
        let mut held: Vec<u8> = (0..class).collect();
        held.rotate_left(order.index(usize::from(class)));
        held.truncate(1 + order.index(usize::from(class)));
        let mut lost: Vec<usize> = seed.iter().take(held.len()).map(|index| index.index(payloads.len())).collect();
        lost.sort_unstable();
        lost.dedup();
        let expected: Vec<_> = lost.iter().map(|&place| payloads[place].clone()).collect();
        let repaired = repair(&mut Decoder::new(), (&payloads, class), (&symbols, symbol_len), &lost, &held);
        prop_assert_eq!(repaired, Some(expected));
    }

    /// No symbol makes the way back fail otherwise than by `None`.
    #[test]
    fn any_bytes_may_be_a_symbol(symbol in prop::collection::vec(any::<u8>(), 0..40)) {
        let payload = payload_of(&symbol);
        prop_assert!(payload.is_none_or(|payload| payload.len() + LEN <= symbol.len()));
    }
}
