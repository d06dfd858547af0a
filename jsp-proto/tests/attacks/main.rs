//! Known attacks on protocols of this kind, each by its name: it is bounded, and an honest connection beside it lives.
//!
//! The attacks of specification section 8.4, in its order, and the tests that hold them. Attacks that press against one
//! of the bounds are in `bounds_*.rs`, by the row of the table in section 7.
//!
//! | attack | tests |
//! | --- | --- |
//! | timing of decapsulation (KyberSlash) | bench, not here |
//! | ephemeral key with coefficients above the modulus | `attacks::handshake::impossible_ephemeral_keys`, `src/crypto/tests/kem.rs: public_keys_are_checked` |
//! | X25519 keys of zeros | `attacks::handshake::impossible_ephemeral_keys`, `src/crypto/tests/kem.rs: small_order_is_rejected_on_both_sides`, `src/crypto/tests/schedule.rs: an_ephemeral_key_of_small_order_gets_no_answer` |
//! | fragment mixing | `attacks::handshake::fragment_mixing`, `tests/bounds_endpoint.rs: row_10_a_message_that_fails_inside_is_not_opened_twice_and_four_end_the_attempt`, `src/conn/handshake/assembly.rs: contradictions_leave_the_stored_fragments_alone` |
//! | forged server answer | `tests/bounds_endpoint.rs: row_14_a_client_tries_eight_forged_answers_per_probe_timeout`, `tests/handshake.rs: no_flipped_bit_gets_through_or_in_the_way` |
//! | forged RETRY | `attacks::handshake::forged_retry` |
//! | forged version negotiation | `tests/versions.rs: forged_negotiation_does_not_keep_a_client_from_its_server` |
//! | forged KEYINFO | `tests/auth_client.rs: a_forged_offer_of_another_key_is_a_suspicion_and_no_more` |
//! | hello replayed from the same address | `tests/retry.rs: a_replay_from_the_same_address_costs_no_key_exchange_and_gets_no_answer`, `attacks::packets::a_recorded_connection` |
//! | hello replayed from another address | `tests/retry.rs: a_replay_from_elsewhere_never_makes_a_client`, `attacks::packets::a_recorded_connection` |
//! | hello replayed after its token expired | `attacks::handshake::a_hello_replayed_after_its_token_expired`, `tests/tokens.rs: a_replayed_flight_costs_no_key_exchange` |
//! | token from another address | `tests/retry.rs: a_token_is_good_for_its_address_its_id_and_ten_seconds`, `tests/tokens.rs: row_11_a_token_is_good_for_its_ip_and_a_day` |
//! | token of another attempt | `attacks::handshake::a_token_of_another_attempt`, `src/crypto/tests/token.rs: retry_token_is_bound_to_everything` |
//! | token of another cluster | `tests/retry.rs: a_forged_token_is_worth_less_than_none`, `tests/tokens.rs: a_token_of_another_key_or_a_changed_one_is_none` |
//! | a RETRY for each datagram of a hello (ngtcp2 #1585) | `attacks::handshake::a_retry_for_each_datagram`, `tests/retry.rs: one_second_makes_one_retry` |
//! | another client id after a RETRY (msquic #4905) | `attacks::handshake::another_client_id_after_a_retry` |
//! | hello race (CVE-2023-49786) | `attacks::handshake::hello_race` |
//! | 100,000 spoofed hellos a second | `tests/flood.rs: sealed_flights_from_anywhere`, `tests/flood.rs: sealed_flights_from_one_network` |
//! | replayed hello with a client key | `tests/retry.rs: a_replay_from_elsewhere_never_makes_a_client` |
//! | ACK of an unsent packet | `tests/bounds_connection.rs: row_19_an_acknowledgement_of_what_was_never_sent_closes` |
//! | ACK of a skipped number | `tests/bounds_connection.rs: row_20_an_optimistic_acknowledger_meets_a_number_that_was_left_out` |
//! | growth by optimistic ACKs (CVE-2025-4820) | `attacks::data::optimistic_acknowledgement_growth` |
//! | ACK with 64 ranges of 1 | `attacks::data::an_acknowledgement_of_sixty_four_single_packets` |
//! | lies about the delay of ACKs | `attacks::data::lies_about_the_delay_of_acknowledgements`, `src/recovery/rtt.rs: a_lying_delay_cannot_go_below_the_minimum` |
//! | collapsed window and NEW_CID flood (CVE-2024-22189) | `attacks::paths::connection_id_flood` |
//! | PATH_CHALLENGE flood (CVE-2023-49295) | `attacks::paths::path_challenge_flood`, `attacks::paths::path_challenges_from_everywhere` |
//! | stream gaps of 1 byte (RUSTSEC-2026-0185) | `tests/bounds_connection.rs: rows_25_to_27_packets_that_would_open_too_many_gaps_count_as_not_received` |
//! | 1-byte frames that pin packets | `attacks::data::one_byte_frames_pin_no_packets` |
//! | open and reset cycles (CVE-2023-44487) | `attacks::data::open_and_reset_cycles`, `src/stream/tests/lifecycle.rs: the_peers_resets_return_places_at_a_bounded_rate` |
//! | MAX_STREAMS games | `attacks::data::max_streams_games` |
//! | SKIP backwards and beyond | `attacks::data::skip_backwards_and_beyond` |
//! | final size changes | `attacks::data::final_sizes_that_change` |
//! | key-phase flips | `tests/key_update.rs: phase_bits_that_change_on_the_path_cost_their_packets_and_nothing_else`, `tests/key_update.rs: a_phase_bit_without_a_key_is_dropped` |
//! | packets replayed across phases | `attacks::packets::packets_replayed_across_phases`, `tests/key_update.rs: late_packets_of_the_phase_before_are_welcome_for_a_while` |
//! | huge packet number with a bad tag (CVE-2016-2181) | `attacks::packets::a_packet_number_far_ahead_with_a_bad_tag` |
//! | header-protection sample at the smallest size | `attacks::packets::packets_around_the_smallest_size`, `src/crypto/tests/packet.rs: short_packets_are_refused_before_any_change` |
//! | reserved bit set | `attacks::packets::a_reserved_bit` |
//! | connection ids exhausted | `attacks::paths::connection_id_exhaustion`, `attacks::paths::more_connection_ids_than_are_kept` |
//! | amplification by migration | `attacks::paths::migration_amplification` |
//! | off-path migration race | `attacks::paths::off_path_migration_race` |
//! | request forgery targets | `attacks::paths::request_forgery_targets` |
//! | reset token oracle | `tests/reset.rs: a_reset_with_another_token_does_nothing`, `tests/reset.rs: nobody_gets_a_reset_for_a_connection_that_lives_closes_or_drains`, `tests/sharding.rs: guessed_ids_are_dropped_where_they_arrive_and_old_ones_at_their_shard` |
//! | reset loop | `tests/reset.rs: two_endpoints_that_have_both_lost_everything_fall_silent` |
//! | LZ4 bombs | `tests/compression.rs: a_message_that_does_not_expand_closes`, `tests/compression.rs: a_block_that_does_not_expand_closes` |
//! | CRIME probe | `attacks::content::crime_probe` |
//! | PARITY with lying length, mask or index | `tests/repair.rs: lies_about_a_block_repair_nothing_and_close_nothing`, `tests/repair.rs: parity_that_cannot_be_is_an_encoding_error`, `src/wire/frame/tests.rs: parity_is_checked` |
//! | parity that decodes to garbage | `tests/repair.rs: after_three_senseless_repairs_nothing_is_repaired`, `tests/repair.rs: one_lie_spoils_a_whole_block_and_none_of_it_acts` |
//! | memory pinned by error correction | `tests/bounds_repair.rs: row_38_half_blocks_cost_bounded_memory_that_is_given_back` |
//! | empty datagram flood (CVE-2026-11352) | `attacks::content::empty_datagram_flood`, `tests/bounds_endpoint.rs: row_53_empty_and_self_addressed_datagrams_are_counted_and_dropped` |
//! | clock set back | `attacks::content::clock_set_back`, `tests/tokens.rs: row_55_a_clock_that_jumps_costs_a_round_trip` |
//!
//! And what is not in that list: Appendix B, and attacks that need no name.
//!
//! | attack | tests |
//! | --- | --- |
//! | a whole recorded connection | `attacks::packets::a_recorded_connection` |
//! | noise | `attacks::content::a_million_random_datagrams`, `tests/flood.rs: random_bytes_from_anywhere` |
//! | half hellos, slowly | `attacks::handshake::slow_strangers`, `tests/bounds_endpoint.rs: row_07_fragments_are_kept_for_five_seconds` |
//! | fragment memory before the handshake (CVE-2014-3506, CVE-2025-54939) | `tests/bounds_endpoint.rs: row_06_a_full_table_keeps_the_proven_and_drops_the_new_strangers` |
//! | handshake flood (QFAM) | `tests/flood.rs: flights_for_another_key_from_anywhere_to_an_open_server`, `tests/bounds_endpoint.rs: row_09_handshakes_per_second_are_bounded_and_the_fragments_stay` |
//! | request forgery by version negotiation | `tests/versions.rs: what_is_short_or_a_negotiation_itself_gets_no_answer` |
//! | nonce reuse at a key update | `src/conn/tests/keys.rs: what_was_replaced_is_wiped`, `src/conn/tests/keys.rs: a_long_talk_sees_many_updates` |
//! | timing of the key phase | `src/conn/tests/keys.rs: keys_are_derived_when_something_is_sent_or_time_passes_and_never_for_what_comes_in` |
//! | ids that link paths | `tests/paths.rs: a_moved_connection_has_new_ids_in_both_directions` |
//! | tokens that link connections | `tests/tokens.rs: tokens_of_one_client_have_nothing_in_common` |

#[path = "../support/mod.rs"]
mod support;

mod content;
mod data;
mod handshake;
mod packets;
mod paths;

use std::path::PathBuf;

/// A row of the tables above: an attack, and the tests that hold it, of which there are none if it is measured and not
/// tested.
struct Row {
    attack: &'static str,
    tests: Vec<&'static str>,
    measured: bool,
}

fn rows(source: &'static str) -> Vec<Row> {
    let cells = |line: &'static str| {
        let (attack, tests) = line.strip_prefix("//! | ")?.strip_suffix(" |")?.split_once(" | ")?;
        let measured = tests == "bench, not here";
        let tests = tests.split(", ").filter_map(|test| test.strip_prefix('`')?.strip_suffix('`')).collect();
        (!matches!(attack, "attack" | "---")).then_some(Row { attack, tests, measured })
    };
    source.lines().take_while(|line| line.starts_with("//!")).filter_map(cells).collect()
}

/// Whether there is a test of this name: `attacks::module::name`, or `path: name` from the root of the crate.
fn exists(test: &str) -> bool {
    let (file, name) = match test.split_once(": ") {
        Some((file, name)) => (file.to_owned(), name),
        None => match test.strip_prefix("attacks::").and_then(|test| test.split_once("::")) {
            Some((module, name)) => (format!("tests/attacks/{module}.rs"), name),
            None => return false,
        },
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    let Ok(source) = std::fs::read_to_string(path) else { return false };
    let mut lines = source.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let wanted = format!("fn {name}(");
    // A test is what directly follows its mark; other attributes may stand between.
    while lines.by_ref().any(|line| line == "#[test]") {
        if lines.by_ref().find(|line| !line.starts_with("#[")).is_some_and(|line| line.starts_with(&wanted)) {
            return true;
        }
    }
    false
}

#[test]
fn every_attack_has_a_test_and_every_test_exists() {
    let rows = rows(include_str!("main.rs"));
    assert_eq!(rows.len(), 50 + 10, "attacks of section 8.4, and others");
    for Row { attack, tests, measured } in &rows {
        assert_eq!(tests.is_empty(), *measured, "{attack}");
        tests.iter().for_each(|test| assert!(exists(test), "{attack}: there is no {test}"));
    }
    assert_eq!(rows.iter().filter(|row| row.measured).count(), 1);
}

#[test]
fn a_test_that_does_not_exist_is_found_missing() {
    for good in ["attacks::paths::restless_peer", "tests/reset.rs: a_hundred_clients_learn_it_together"] {
        assert!(exists(good), "{good}");
    }
    for bad in [
        "attacks::paths::restless",
        "attacks::paths::watch",
        "attacks::nowhere::restless_peer",
        "tests/reset.rs: a_hundred_clients",
        "tests/nothing.rs: a_hundred_clients_learn_it_together",
        "restless_peer",
    ] {
        assert!(!exists(bad), "{bad}");
    }
}
