//! Whatever comes in whatever order: what is repaired is right and new, and everything stays within its bounds.

use alloc::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Source(u64),
    Plain(u64),
    Parity { first: u64, mask: u16, class: u8, index: u8 },
    Wait(u64),
    Decode,
    Stores(bool),
    Rest,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few different blocks, so that they often meet.
    let mask = prop::sample::select(&[1, 0b11, 0b111, 0b101, 0b1010_1010_1010_1011, 0xff, 0x8001]);
    let parity = (0..6u64, mask, prop::sample::select(&[1u8, 2, 4, 32]), any::<u8>());
    let step = prop_oneof![
        10 => (0..60u64).prop_map(Step::Source),
        1 => (0..60u64).prop_map(Step::Plain),
        10 => parity.prop_map(|(first, mask, class, index)| Step::Parity {
            first: first * 8,
            mask,
            class,
            index: index % class
        }),
        1 => (0..400u64).prop_map(Step::Wait),
        4 => Just(Step::Decode),
        1 => any::<bool>().prop_map(Step::Stores),
        1 => Just(Step::Rest),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn repairs_are_right_and_new_and_bounded(steps in steps()) {
        let mut scene = Scene::new();
        let (mut ms, mut parities) = (0, 0);
        let (mut came, mut repaired) = (BTreeSet::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Source(pn) if came.insert(pn) => scene.source_at(ms, pn),
                Step::Plain(pn) if came.insert(pn) => scene.plain(pn),
                Step::Source(_) | Step::Plain(_) => {}
                Step::Parity { first, mask, class, index } => {
                    let pns: Vec<u64> = (0..16).filter(|bit| mask >> bit & 1 == 1).map(|bit| first + bit).collect();
                    scene.parity_at(ms, &pns, class, index);
                    parities += 1;
                }
                Step::Wait(time) => ms += time,
                Step::Decode => {
                    for pn in scene.decoded(ms) {
                        prop_assert!(!came.contains(&pn) && repaired.insert(pn), "{}", pn);
                    }
                }
                Step::Stores(stores) => scene.receiver.set_stores(stores),
                Step::Rest => scene.receiver.on_timeout(at(ms), &mut scene.stats),
            }
            for pn in scene.repaired() {
                prop_assert!(!came.contains(&pn) && repaired.insert(pn), "{}", pn);
            }
            prop_assert!(scene.blocks() <= bounds::FEC_BLOCKS);
            prop_assert!(scene.receiver.symbols() <= N);
            prop_assert!(scene.receiver.memory() <= (2 * N + 1) * (SYMBOL + 64) + 1024);
        }
        // Every parity was of use for one packet, or of none.
        scene.receiver.free(&mut scene.stats);
        prop_assert_eq!(scene.stats.parity_unused + repaired.len() as u64, parities);
        prop_assert_eq!(scene.receiver.memory(), 0);
    }
}
