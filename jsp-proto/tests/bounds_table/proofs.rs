//! Where each bound of the table is reached.

use crate::check::Proof;

const ENDPOINT: &str = "tests/bounds_endpoint.rs";
const CONNECTION: &str = "tests/bounds_connection.rs";
const STREAMS: &str = "tests/bounds_streams.rs";
const QUEUES: &str = "tests/bounds_queues.rs";
const REPAIR: &str = "tests/bounds_repair.rs";
const RETRY: &str = "tests/retry.rs";
const TOKENS: &str = "tests/tokens.rs";
const RESET: &str = "tests/reset.rs";
const PATH_ATTACKS: &str = "tests/attacks/paths.rs";
const PATH: &str = "src/conn/path/tests.rs";
const CIDS: &str = "src/conn/cids/tests.rs";
const KEYS: &str = "src/conn/tests/keys.rs";
const RECOVERY: &str = "src/recovery/tests.rs";
const FEC: &str = "src/fec/recv/tests.rs";
const VIOLATIONS: &str = "src/stream/tests/violations.rs";
const LIFECYCLE: &str = "src/stream/tests/lifecycle.rs";
const MESSAGES: &str = "src/stream/tests/messages.rs";

/// Each bound of the table by its second column, and the tests that reach it.
pub(crate) const PROOFS: &[Proof<'static>] = &[
    (
        "datagrams that cannot be parsed or belong to nobody",
        &[(ENDPOINT, "row_01_malformed_datagrams_are_dropped_and_counted")],
    ),
    (
        "empty datagrams, and those from the endpoint's own address",
        &[(ENDPOINT, "row_53_empty_and_self_addressed_datagrams_are_counted_and_dropped")],
    ),
    ("KEY_IDS_TRIED", &[(ENDPOINT, "row_02_a_fragment_under_an_unknown_key_is_dropped_after_the_seal")]),
    (
        "Bounds::seal_openings_per_second, Bounds::seal_opening_burst",
        &[
            (ENDPOINT, "row_03_seals_of_strangers_have_a_budget_and_first_fragments_one_of_their_own"),
            (ENDPOINT, "row_03_where_seals_are_scarce_clients_prove_their_address_and_need_none"),
            ("tests/flood.rs", "random_bytes_from_anywhere"),
        ],
    ),
    (
        "Bounds::tokenless_handshakes",
        &[
            (ENDPOINT, "row_04_many_strangers_under_way_make_the_others_prove_their_address"),
            ("tests/flood.rs", "sealed_flights_from_anywhere"),
        ],
    ),
    (
        "Bounds::tokenless_per_second, Bounds::tokenless_burst",
        &[(ENDPOINT, "row_04_strangers_per_second_are_bounded_by_attempts_not_by_fragments")],
    ),
    ("Bounds::retries_per_second", &[(ENDPOINT, "row_05_stateless_answers_have_a_budget")]),
    ("Bounds::key_infos_per_second", &[(ENDPOINT, "row_05_stateless_answers_have_a_budget")]),
    (
        "Bounds::key_infos_per_prefix",
        &[
            (ENDPOINT, "row_05_one_network_gets_its_share_of_key_infos"),
            ("src/endpoint/prefix.rs", "each_network_has_its_rate_and_a_flood_of_them_no_more_than_the_total"),
        ],
    ),
    (
        "Bounds::reassembly_entries",
        &[
            (ENDPOINT, "row_06_a_full_table_keeps_the_proven_and_drops_the_new_strangers"),
            (ENDPOINT, "row_06_a_proven_client_takes_the_place_of_the_oldest_stranger"),
        ],
    ),
    ("Bounds::reassembly_per_prefix", &[(ENDPOINT, "row_06_one_network_has_a_share_of_the_reassembly")]),
    ("REASSEMBLY_LIFETIME", &[(ENDPOINT, "row_07_fragments_are_kept_for_five_seconds")]),
    (
        "Bounds::half_open",
        &[(ENDPOINT, "row_08_half_open_connections_are_bounded_for_all_and_freed_after_five_seconds")],
    ),
    (
        "Bounds::half_open_per_prefix",
        &[(ENDPOINT, "row_08_half_open_connections_of_one_network_are_bounded_and_a_token_helps")],
    ),
    (
        "HALF_OPEN_LIFETIME",
        &[
            (ENDPOINT, "row_08_half_open_connections_are_bounded_for_all_and_freed_after_five_seconds"),
            ("tests/auth_server.rs", "a_client_that_nobody_decides_about_is_gone_after_five_seconds"),
        ],
    ),
    (
        "Bounds::kem_jobs_per_second, Bounds::kem_burst",
        &[(ENDPOINT, "row_09_handshakes_per_second_are_bounded_and_the_fragments_stay")],
    ),
    ("Bounds::kem_queue", &[(RETRY, "dropped_jobs_do_not_use_up_the_queue")]),
    (
        "Bounds::tombstones, TOMBSTONE_LIFETIME",
        &[(ENDPOINT, "row_10_tombstones_are_bounded_and_a_replay_costs_nothing_while_there_is_one")],
    ),
    (
        "tokens for later connections: age and use",
        &[
            (TOKENS, "row_11_a_token_is_good_for_its_ip_and_a_day"),
            (TOKENS, "a_token_saves_the_round_trip_once"),
            ("src/endpoint/used.rs", "a_full_generation_ends_early_and_no_token_gets_a_second_chance"),
        ],
    ),
    (
        "retry tokens: age",
        &[
            (RETRY, "a_token_is_good_for_its_address_its_id_and_ten_seconds"),
            (RETRY, "a_clock_that_is_ahead_is_tolerated_for_two_seconds"),
            (TOKENS, "row_55_a_clock_that_jumps_costs_a_round_trip"),
        ],
    ),
    (
        "TOKENS_KEPT",
        &[
            (TOKENS, "row_41_a_client_keeps_the_newest_four_tokens"),
            ("src/driver/tokens.rs", "four_tokens_of_each_server_and_sixty_four_servers_are_kept"),
        ],
    ),
    ("Bounds::resets_per_second", &[(RESET, "resets_are_few_and_shorter_than_what_they_answer")]),
    ("Bounds::resets_per_prefix", &[(RESET, "resets_are_few_and_shorter_than_what_they_answer")]),
    ("stateless resets", &[(RESET, "resets_are_few_and_shorter_than_what_they_answer")]),
    (
        "Bounds::version_negotiations_per_second",
        &[
            ("tests/versions.rs", "a_hundred_are_told_in_a_second"),
            ("tests/versions.rs", "what_is_short_or_a_negotiation_itself_gets_no_answer"),
        ],
    ),
    ("Bounds::stateless_queue", &[(QUEUES, "answers_to_strangers_wait_in_a_bounded_queue")]),
    (
        "Bounds::undecided",
        &[(QUEUES, "clients_that_nobody_has_decided_about_are_bounded_and_leave_after_five_seconds")],
    ),
    (
        "reset tokens known",
        &[("src/endpoint/reset.rs", "a_token_given_twice_belongs_to_the_last_and_is_forgotten_with_it")],
    ),
    (
        "Bounds::connections",
        &[
            (ENDPOINT, "row_13_places_are_not_given_twice_while_keys_are_computed"),
            (QUEUES, "row_13_a_client_endpoint_has_so_many_connections_and_no_more"),
        ],
    ),
    ("Bounds::connections_per_prefix", &[(ENDPOINT, "row_13_one_network_has_a_share_of_the_connections")]),
    ("tables with keys that strangers choose", &[("src/map.rs", "chosen_keys_collide_under_no_other_secret")]),
    (
        "AMPLIFICATION",
        &[
            (RETRY, "an_unproven_address_gets_at_most_three_times_what_it_sent"),
            (PATH_ATTACKS, "migration_amplification"),
        ],
    ),
    (
        "UNCONFIRMED_DATAGRAMS",
        &[
            (RETRY, "a_token_allows_ten_datagrams_and_one_for_each_received"),
            (TOKENS, "row_12_an_earlier_token_allows_ten_datagrams_and_one_for_each_received"),
        ],
    ),
    ("FORGED_INNER", &[(ENDPOINT, "row_14_a_client_tries_eight_forged_answers_per_probe_timeout")]),
    (
        "redirections of a client",
        &[(RETRY, "a_client_follows_three_retries_and_no_more"), (QUEUES, "a_client_takes_a_key_once")],
    ),
    ("answers that a client puts together", &[(QUEUES, "a_client_puts_four_answers_together_at_once")]),
    ("EARLY_DATAGRAMS", &[(ENDPOINT, "row_15_a_client_keeps_four_early_packets")]),
    ("AEAD_FAILURES", &[("src/conn/secure.rs", "the_integrity_limit_closes")]),
    (
        "AEAD_FAILURES_PER_SECOND",
        &[(CONNECTION, "row_16_forged_packets_are_counted_and_after_too_many_dropped_unopened")],
    ),
    ("keys of the phase before, OLD_KEYS_LIFETIME", &[(KEYS, "keys_of_the_phase_before_are_kept_for_a_while")]),
    (
        "key updates of the peer",
        &[
            ("tests/key_update.rs", "two_updates_before_an_answer_close"),
            ("tests/key_update.rs", "a_peer_that_is_answered_may_update_at_once"),
        ],
    ),
    (
        "own key updates, KEY_UPDATE_WAIT",
        &[(KEYS, "an_update_is_complete_when_the_peer_is_in_it_and_the_next_one_waits")],
    ),
    ("replay window", &[(CONNECTION, "row_17_old_and_repeated_packets_are_dropped")]),
    (
        "acknowledgement ranges",
        &[
            (CONNECTION, "row_18_acknowledgements_name_the_latest_ranges_only"),
            ("src/wire/frame/tests.rs", "a_receiver_looks_at_64_ranges"),
            ("src/recovery/acks.rs", "ranges_agree_with_a_set"),
        ],
    ),
    (
        "acknowledgement of an unsent or skipped packet",
        &[
            (CONNECTION, "row_19_an_acknowledgement_of_what_was_never_sent_closes"),
            (CONNECTION, "row_20_an_optimistic_acknowledger_meets_a_number_that_was_left_out"),
        ],
    ),
    (
        "EMPTY_PACKETS_PER_SECOND",
        &[
            (STREAMS, "row_45_packets_that_carry_nothing_are_counted_and_acknowledged_late"),
            ("src/conn/tests.rs", "empty_packets_beyond_the_bound_wait_for_their_acknowledgement"),
        ],
    ),
    (
        "acknowledgements at once on request",
        &[(STREAMS, "row_48_acknowledgements_at_once_are_granted_once_per_eighth_of_a_round_trip")],
    ),
    ("paths of a connection, PATHS", &[(PATH, "paths_are_bounded_and_the_oldest_try_gives_way")]),
    ("proofs asked of a path, PATH_CHALLENGES", &[(PATH, "three_questions_without_an_answer_end_a_path")]),
    (
        "answers to path challenges, PATH_RESPONSES_PER_SECOND",
        &[
            (PATH, "the_latest_question_is_answered_and_not_too_many"),
            (STREAMS, "row_35_questions_about_a_path_beyond_the_rate_are_counted"),
        ],
    ),
    ("PATH_SWITCHES_PER_SECOND, PATH_SWITCH_BURST", &[(PATH_ATTACKS, "restless_peer")]),
    ("Bounds::path_switches_per_second", &[(PATH_ATTACKS, "restless_peer")]),
    (
        "connection ids of the peer, ACTIVE_CIDS, CID_GAPS",
        &[(PATH_ATTACKS, "more_connection_ids_than_are_kept"), (CIDS, "numbers_with_gaps_are_bounded")],
    ),
    (
        "connection ids given up, not acknowledged, PENDING_RETIRED_CIDS",
        &[(PATH_ATTACKS, "connection_id_flood"), (CIDS, "a_flood_of_ids_to_give_up_closes")],
    ),
    (
        "connection ids given to the peer, SPARE_CIDS, NEW_CIDS_PER_SECOND, NEW_CID_BURST",
        &[
            (PATH_ATTACKS, "connection_id_exhaustion"),
            (CIDS, "a_peer_that_gives_up_ids_again_and_again_waits_for_new_ones"),
        ],
    ),
    (
        "ADDRESS_REPORTS_PER_SECOND, ADDRESS_REPORT_BURST",
        &[
            ("tests/keepalive.rs", "a_flood_of_addresses_is_ignored"),
            ("src/conn/observed.rs", "the_latest_word_counts_and_a_flood_is_ignored"),
        ],
    ),
    ("NETWORKS_REMEMBERED", &[("src/conn/keepalive.rs", "what_was_too_long_is_remembered_for_the_network")]),
    (
        "sent packets remembered",
        &[
            (RECOVERY, "a_full_ring_refuses_and_lost_packets_make_room"),
            (CONNECTION, "row_22_a_peer_that_acknowledges_nothing_does_not_make_the_endpoint_spin"),
        ],
    ),
    ("skipped packet numbers remembered", &[(RECOVERY, "about_one_number_per_window_is_left_out")]),
    (
        "probes for larger datagrams",
        &[
            ("src/recovery/mtu.rs", "the_search_climbs_to_what_the_path_carries"),
            ("tests/mtu.rs", "small_messages_and_silence_cause_no_probe"),
        ],
    ),
    ("wait between probes", &[(RECOVERY, "probe_timeouts_stop_doubling_at_three_seconds")]),
    (
        "memory of sent packets while none is in flight",
        &[(RECOVERY, "the_memory_of_a_burst_goes_back_when_the_sender_rests")],
    ),
    (
        "Bounds::receive_memory",
        &[
            (CONNECTION, "row_23_memory_of_unread_data_is_bounded_over_all_connections"),
            (CONNECTION, "row_23_credit_that_was_held_back_for_want_of_memory_is_granted_when_there_is_some"),
            ("src/stream/flow.rs", "pressure_stops_growth_and_then_credit"),
        ],
    ),
    (
        "packets kept to repair others",
        &[
            (FEC, "parity_symbols_are_bounded"),
            ("src/fec/recv/ring.rs", "the_highest_numbers_stay"),
            (REPAIR, "row_23_nothing_is_kept_for_repairs_when_memory_is_short"),
        ],
    ),
    (
        "FEC_BLOCKS, FEC_BLOCK_LIFETIME",
        &[(FEC, "the_oldest_block_gives_way"), (FEC, "a_block_is_forgotten_after_a_second")],
    ),
    (
        "FEC_REST",
        &[
            (REPAIR, "row_38_half_blocks_cost_bounded_memory_that_is_given_back"),
            (FEC, "memory_is_given_back_two_seconds_after_the_last_packet"),
        ],
    ),
    ("FEC_DECODES_PER_SECOND, FEC_DECODE_BURST", &[(REPAIR, "row_38_decodes_of_a_connection_are_bounded")]),
    (
        "Bounds::decodes_per_second, Bounds::decode_burst",
        &[(REPAIR, "row_38_decodes_of_all_connections_are_bounded_and_dealt_in_turn")],
    ),
    ("FEC_MALFORMED", &[("tests/repair.rs", "after_three_senseless_repairs_nothing_is_repaired")]),
    ("bytes from one peer", &[("tests/rates.rs", "a_bulk_transfer_is_held_to_the_rate")]),
    ("messages from one peer", &[("tests/rates.rs", "tiny_messages_are_held_to_their_rate_and_none_is_lost")]),
    (
        "receive windows, MAX_RECEIVE_WINDOW, MAX_STREAM_RECEIVE_WINDOW",
        &[
            (CONNECTION, "row_24_more_data_than_the_credit_closes"),
            ("src/stream/flow.rs", "half_a_window_makes_an_update_and_speed_makes_it_larger"),
        ],
    ),
    (
        "memory of a stream's received data",
        &[
            (VIOLATIONS, "a_hole_at_the_bottom_cannot_stretch_the_ring"),
            (LIFECYCLE, "large_buffers_are_given_back_when_the_stream_rests"),
        ],
    ),
    (
        "gaps in a stream",
        &[
            (CONNECTION, "rows_25_to_27_packets_that_would_open_too_many_gaps_count_as_not_received"),
            (VIOLATIONS, "gaps_of_a_stream_of_bytes_are_bounded"),
            (VIOLATIONS, "gaps_of_a_stream_of_messages_are_bounded_and_marks_are_not_gaps"),
        ],
    ),
    ("pieces remembered of a message stream", &[(VIOLATIONS, "marks_are_bounded_by_the_window")]),
    ("partial messages of a connection", &[(VIOLATIONS, "partial_messages_are_bounded")]),
    (
        "packets not accepted",
        &[
            (CONNECTION, "rows_25_to_27_packets_that_would_open_too_many_gaps_count_as_not_received"),
            (VIOLATIONS, "refusing_goes_on_only_so_long"),
        ],
    ),
    ("message received", &[(VIOLATIONS, "messages_above_the_maximum")]),
    (
        "compressed message received",
        &[
            ("tests/compression.rs", "a_message_that_does_not_expand_closes"),
            ("src/stream/lz4.rs", "no_block_gives_more_than_255_times_its_length"),
            ("src/stream/lz4.rs", "a_lie_about_the_length_is_found"),
        ],
    ),
    (
        "block of a compressed stream of bytes",
        &[
            ("tests/compression.rs", "a_block_that_does_not_expand_closes"),
            ("src/stream/tests/blocks.rs", "a_block_that_does_not_expand_ends_the_reading"),
        ],
    ),
    ("STREAMS_PER_TYPE", &[(CONNECTION, "row_28_one_stream_too_many_closes")]),
    (
        "streams that the peer resets",
        &[
            (STREAMS, "row_29_places_of_streams_that_the_peer_resets_come_back_at_a_bounded_rate"),
            (LIFECYCLE, "the_peers_resets_return_places_at_a_bounded_rate"),
        ],
    ),
    ("streams that are over", &[(STREAMS, "row_30_streams_that_are_over_cost_no_memory_and_do_not_come_back")]),
    (
        "frames that move nothing (STOP_SENDING, early resets, BLOCKED, priorities)",
        &[
            (STREAMS, "row_31_frames_that_move_nothing_are_ignored_and_too_many_close"),
            (STREAMS, "row_31_priorities_beyond_the_rate_change_nothing"),
        ],
    ),
    (
        "control frames to be sent",
        &[
            (STREAMS, "row_32_only_the_latest_value_of_a_control_frame_is_sent"),
            ("src/conn/control.rs", "a_lost_slot_is_sent_again_and_an_acked_one_never"),
        ],
    ),
    ("BLOCKED frames sent", &[(STREAMS, "blocked_is_said_twenty_times_a_second")]),
    (
        "credit before the server's parameters, FLOOR_MAX_DATA, FLOOR_MAX_STREAM_DATA, FLOOR_MAX_STREAMS",
        &[(STREAMS, "before_the_servers_parameters_sending_and_opening_keep_to_the_floor")],
    ),
    (
        "parameters",
        &[
            (CONNECTION, "row_42_parameters_out_of_bounds_close_the_connection"),
            (CONNECTION, "row_42_parameters_count_once"),
        ],
    ),
    ("REASON_LEN", &[(CONNECTION, "row_43_a_long_reason_is_cut")]),
    (
        "frames that say nothing (STREAM without data or end, MSG without data), packets without frames",
        &[(CONNECTION, "row_44_frames_that_say_nothing_close")],
    ),
    ("SEND_BUFFER, STREAM_SEND_BUFFER", &[(CONNECTION, "row_49_the_send_buffer_blocks_and_tells_when_there_is_room")]),
    (
        "best-effort queue, BEST_EFFORT_QUEUE_AGE",
        &[
            (CONNECTION, "row_50_the_best_effort_queue_drops_its_oldest"),
            (MESSAGES, "a_full_best_effort_queue_drops_the_oldest"),
            (MESSAGES, "an_expired_message_leaves_no_trace"),
        ],
    ),
    ("untold outcomes", &[(MESSAGES, "tracked_messages_are_bounded")]),
    ("untold events of streams", &[(LIFECYCLE, "readable_is_told_once_until_read_to_the_end")]),
    ("silence", &[(CONNECTION, "row_52_silent_and_closing_connections_are_freed")]),
    (
        "closing and draining",
        &[(CONNECTION, "row_52_silent_and_closing_connections_are_freed"), ("src/conn/close.rs", "answers_get_rarer")],
    ),
    (
        "datagrams that other shards have brought (driver)",
        &[
            ("src/driver/shards.rs", "a_full_mailbox_drops_and_counts"),
            ("src/driver/tests/shards.rs", "a_shard_that_sleeps_is_brought_so_much_and_no_more"),
        ],
    ),
];
