//! The contract that every adapter keeps: scenarios played by two endpoints over real sockets of the loopback
//! interface, each pair of adapters with one another.
//!
//! An adapter takes part by implementing [`Peer`], a blocking view of its operations; [`contract_scenarios!`] lists what
//! there is to play. A scenario is two plain functions, one for the client and one for the server, each on a thread of
//! its own and with nothing in common but the protocol. A [`Stage`] runs them, and turns a hang into a failure that
//! names the scenario, the pair and the step. Nothing here waits for time to pass in order to be right.
//!
//! [`contract_scenarios!`]: crate::contract_scenarios

mod content;
mod peer;
mod relay;
mod scenarios;
mod stage;

pub use peer::{Answer, ConnKey, Peer, StreamKey};
pub use stage::Stage;

/// Calls the macro `$then` with the names of all scenarios, after the tokens `$with`. Each is a function of
/// `jsp_conformance::contract` that takes a [`Stage`](crate::contract::Stage).
#[macro_export]
macro_rules! contract_scenarios {
    ($then:ident $($with:tt)*) => {
        $then! {
            $($with)*
            both_sides_know_each_other
            exported_keys_are_equal
            counters_agree
            the_program_lets_a_client_in
            the_program_refuses_with_a_code
            an_ignored_client_gets_no_answer
            a_wrong_pinned_key_is_a_mismatch
            nobody_there_and_then_somebody
            an_opened_stream_is_seen_without_a_write
            echo_of_bytes
            echo_of_ordered_messages
            echo_of_unordered_messages
            echo_of_best_effort_messages
            echo_of_partially_reliable_messages
            cancelled_reads_of_messages
            cancelled_reads_of_bytes
            ten_thousand_streams
            a_slow_reader_holds_the_sender_back
            dropping_the_sender_keeps_what_was_accepted
            dropping_the_receiver_stops_the_sender
            stopping_gives_the_code
            resetting_gives_the_code
            closing_at_once_loses_nothing
            what_arrived_is_read_after_the_close
            dropping_the_connection_loses_nothing
            aborting_gives_the_code
            a_close_that_delivers_nothing_more_says_so
            shutdown_delivers_and_closes_everything
            a_silent_peer_is_an_idle_timeout
            a_vanished_peer_leaves_the_endpoint_alive
            garbage_is_counted_and_changes_nothing
        }
    };
}

macro_rules! export {
    ($($name:ident)*) => {
        pub use scenarios::{$($name),*};
    };
}
contract_scenarios!(export);
