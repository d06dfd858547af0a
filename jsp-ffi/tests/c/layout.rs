//! Structures have the same sizes and fields in C as in Rust.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::mem::offset_of;
use std::process::Command;

use crate::tools::{Compiler, crate_dir, empty_dir, run};

fn size_of_field<S, F>(_: impl Fn(&S) -> &F) -> usize {
    size_of::<F>()
}

/// `Struct SIZE` and `Struct.field OFFSET SIZE` of each.
macro_rules! lines {
    ($($name:ident { $($field:ident)* })*) => {
        BTreeSet::from([$(
            format!("{} {}", stringify!($name), size_of::<jsp::$name>()),
            $(format!(
                "{}.{} {} {}",
                stringify!($name),
                stringify!($field),
                offset_of!(jsp::$name, $field),
                size_of_field(|of: &jsp::$name| &of.$field),
            ),)*
        )*])
    };
}

fn in_rust() -> BTreeSet<String> {
    lines! {
        JspAddress { family reserved port scope_id ip }
        JspBytes { data len }
        JspConfig {
            size key_fetch retry accept client_auth kem server_seed protocols protocols_len idle_timeout_ns
            handshake_timeout_ns linger_ns max_udp_payload initial_mtu initial_rtt_ns max_ack_delay_ns receive_window
            stream_receive_window max_receive_window max_stream_receive_window send_buffer stream_send_buffer
            max_streams max_message_size max_queue_age_ns unix_time_at_origin token_key reset_key congestion
            reserved fixed_rate_without_congestion_control profile accept_compressed compression fec fec_sources
            fec_parity fec_max_overhead fec_max_symbols fec_target fec_max_delay_ns rate_limit_bytes
            rate_limit_bytes_burst rate_limit_messages rate_limit_messages_burst keep_alive mtu_discovery
            keep_alive_interval_ns key_update_packets key_update_age_ns allow_migration grease load_balancing_server_id
            load_balancing_server_id_len load_balancing_rotation new_tokens token_secret token_rotation_ns
            token_lifetime_ns
        }
        JspClientConfig {
            size trust public_key key_ids key_ids_len identity_seed identity_inline reserved psk psk_id app_token
            protocols protocols_len handshake_timeout_ns
        }
        JspConnInfo { size is_server is_connected is_closed remote peer_key_id reserved max_message_size }
        JspCloseReason { size error code after_ns reason_len reason expected_key_id found_key_id }
        JspDatagram { offset len stride remote local ecn reserved }
        JspTransmit { offset len segment remote local ecn reserved }
        JspEvent { kind detail connection stream code }
        JspPoll {
            size max_segments buffer buffer_len transmits transmits_capacity events events_capacity transmits_len
            events_len wake_at_ns more reserved
        }
        JspIncoming { size is_validated remote has_key_id has_key psk_id_len app_token_len }
        JspAccept { size reserved client_key psk protocol }
        JspStreamOptions {
            size kind uni mode ttl_ns has_priority priority compression fec fec_sources fec_parity
        }
        JspMessageOptions { size has_mode mode tracked ttl_ns }
        JspEndpointStats {
            size connections datagrams_received bytes_received datagrams_sent bytes_sent connections_confirmed
            connections_closed handshakes_started handshakes_refused retries_sent key_infos_sent dropped_total dropped
            seal_openings resets_sent resets_received version_negotiations_sent tokens_issued tokens_accepted
            tokens_rejected
        }
        JspConnStats {
            size probe_timeouts_in_row rtt_ns latest_rtt_ns min_rtt_ns rtt_variation_ns congestion_window pacing_rate
            bytes_in_flight datagrams_sent bytes_sent datagrams_received bytes_received datagrams_dropped packets_sent
            packets_lost packets_lost_spuriously bytes_retransmitted probe_timeouts ce_received handshake_time_ns
            streams_open send_buffered send_credit receive_memory datagram_size ecn_capable compressions_tried
            messages_compressed bytes_before_compression bytes_after_compression fec_sources_sent fec_parity_sent
            fec_parity_bytes_sent fec_repaired_by_peer fec_unrepaired fec_sources_received fec_parity_received
            fec_parity_unused fec_repaired fec_repairs_refused fec_malformed fec_loss_ppm fec_block_sources
            fec_block_parity fec_interleaving credit_delays message_delays mtu_probes_sent mtu_black_holes
            keep_alive_pings path_changes path_switches_refused key_updates key_phase
        }
    }
}

/// A program that prints the same lines, of every structure that the header has.
fn program() -> String {
    let header = fs::read_to_string(crate_dir().join("include/jsp.h")).expect("the header");
    let mut text = String::from("#include <jsp.h>\n#include <stdio.h>\n\nint main(void)\n{\n");
    let mut inside = None;
    for line in header.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        if let Some(name) = line.strip_prefix("typedef struct ").and_then(|rest| rest.strip_suffix(" {")) {
            writeln!(text, "    printf(\"{name} %zu\\n\", sizeof({name}));").expect("a string takes everything");
            inside = Some(name);
        } else if line.starts_with('}') {
            inside = None;
        } else if let (Some(name), Some(field)) = (inside, line.strip_suffix(';')) {
            let field = field.split('[').next().unwrap_or_default();
            let field = field.rsplit([' ', '*']).next().unwrap_or_default();
            let value = format!("offsetof({name}, {field}), sizeof((({name} *)0)->{field})");
            writeln!(text, "    printf(\"{name}.{field} %zu %zu\\n\", {value});").expect("a string takes everything");
        }
    }
    text + "    return 0;\n}\n"
}

#[test]
fn structures_are_laid_out_alike() {
    let Some(compiler) = Compiler::find() else { return };
    let dir = empty_dir("layout");
    let source = dir.join("layout.c");
    fs::write(&source, program()).expect("a source file can be written");
    compiler.build(&[&source], &[], &dir.join("layout"));
    let printed = run(&mut Command::new(dir.join("layout")));
    let in_c: BTreeSet<String> = printed.lines().map(str::to_owned).collect();
    let in_rust = in_rust();
    let only = |left: &BTreeSet<String>, right: &BTreeSet<String>| left.difference(right).cloned().collect::<Vec<_>>();
    assert_eq!((only(&in_c, &in_rust), only(&in_rust, &in_c)), (vec![], vec![]), "only in C, only in Rust");
}
