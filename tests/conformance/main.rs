//! The conformance suite: one set of tests, written once, run on every runtime over real sockets.
//!
//! A test's name is `runtime::test`; one that proves a promise of the design begins with the
//! promise's number, `g01` to `g13`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]
#![allow(clippy::wildcard_enum_match_arm, reason = "what a test does not expect is one case")]
#![allow(missing_docs, reason = "the names of tests say what they test")]

#[path = "../support/mod.rs"]
mod support;

mod certainty;
mod closing;
mod endings;
mod evidence;
mod giving_up;
mod half_closing;
mod handshakes;
mod opening;
mod options;
mod outages;
mod outcomes;
mod overload;
mod replaying;
mod scripted;
mod talking;
mod terms;
mod together;

/// The tests of each topic; `dials` marks those that need a runtime that dials by itself.
macro_rules! tests_on {
    ($module:ident, $runtime:ident) => {
        mod $module {
            tests_on! { @run $runtime;
                opening::a_bad_setting_is_named_before_anything_is_dialled
                opening::fail_fast_says_what_failed
                opening::fail_fast_is_over_once_connected
                opening::lazy_dials_with_the_first_message
                opening::lazy_dials_when_asked_to
                talking::what_is_sent_comes_back
                talking::g02_a_burst_arrives_in_order
                talking::large_messages_pass_both_ways
                talking::try_send_needs_no_task
                talking::what_can_never_be_sent_comes_back
                talking::g03_an_outcome_can_be_asked_for_at_any_time
                talking::flush_waits_for_what_was_admitted
                talking::state_and_events_tell_what_happens
                talking::recv_timeout_loses_nothing
                talking::items_and_events_are_streams
                talking::dropping_a_pending_recv_loses_nothing
                endings::g07_data_before_down_on_fin
                endings::g07_data_before_down_on_reset
                endings::g07_a_failed_write_loses_nothing_that_was_received
                endings::g07_nothing_crosses_an_epoch
                endings::g10_who_only_writes_notices_the_end
                endings::g10_who_dropped_the_receiver_notices_the_end
                endings::g10_who_stopped_receiving_notices_the_end
                endings::g10_who_only_reads_notices_the_end
                endings::g08_accept_and_drop_is_backed_off_from
                endings::g08_asking_for_a_reconnect_ends_the_wait
                outages::g04_unacked_loses_nothing
                outages::g04_incomplete_sends_nothing_twice
                outages::g04_untransmitted_sends_nothing_twice
                outages::g04_never_sends_nothing_twice
                outages::g01_an_epoch_begins_with_a_whole_message
                outages::g04_a_server_that_is_restarted_gets_the_rest
                certainty::g03_what_is_said_of_a_message_is_true
                evidence::g05_the_window_is_trimmed_while_the_connection_lives
                evidence::g04_after_a_fin_what_was_taken_counts_as_written
                replaying::g04_a_handshake_releases_and_marks_what_goes_out_again
                replaying::g04_what_was_tried_too_often_is_given_up
                terms::a_message_expires_while_it_waits
                terms::a_message_is_cancelled_while_it_waits
                terms::a_pinned_message_goes_with_its_epoch
                terms::a_message_expires_behind_a_peer_that_reads_nothing
                terms::a_pinned_message_that_waits_for_room_learns_that_its_epoch_is_over
                replaying::g05_a_shorter_message_in_the_place_of_a_longer_makes_room
                outcomes::g03_an_outcome_that_waits_to_be_read_is_not_denied
                outcomes::g03_the_stream_tells_every_outcome_once
                outcomes::g05_unread_outcomes_hold_messages_up
                half_closing::g11_half_close_waits_for_the_answer
                half_closing::g11_a_half_closed_connection_can_be_closed
                half_closing::g07_a_peer_that_has_finished_may_be_written_to
                talking::explain_says_what_goes_on
                overload::g05_wait_waits_for_room
                overload::g05_many_senders_wait_for_room
                overload::g05_who_used_the_room_passes_it_on
                overload::g05_reject_hands_the_message_back
                overload::g05_drop_oldest_drops_the_oldest
                overload::g05_drop_newest_drops_the_newest
                overload::g06_unread_items_and_events_stall_nothing
                overload::g06_a_full_inbox_stops_only_reading
                overload::a_sender_and_a_receiver_never_deadlock
                overload::a_task_that_receives_when_it_cannot_send_never_deadlocks
                overload::g10_a_peer_that_takes_nothing_is_left
                overload::g12_a_dropped_send_leaves_no_trace
                overload::g12_a_dropped_send_passes_its_turn_on
                overload::g12_a_dropped_outcome_cancels_nothing
                giving_up::g12_whatever_is_given_up_the_stream_is_whole
                giving_up::g12_a_drain_that_is_given_up_goes_on
                giving_up::g12_a_close_that_is_given_up_goes_on
                handshakes::g09_every_epoch_begins_with_the_handshake
                handshakes::g09_left_over_bytes_reach_the_receiver
                handshakes::g09_what_the_handshake_gives_back_comes_first
                handshakes::g09_a_failing_handshake_is_tried_again
                handshakes::g09_fail_fast_says_why_the_handshake_failed
                handshakes::g09_a_hanging_handshake_times_out
                closing::g11_close_before_anything_was_dialled
                closing::g11_close_while_backing_off
                closing::g11_close_in_a_handshake
                closing::g11_close_while_idle
                closing::g11_close_while_writing_is_blocked
                closing::g11_close_while_the_peer_floods
                closing::g11_close_again_and_from_two_tasks
                closing::g11_close_still_reads_what_the_peer_says
                closing::g11_drain_waits_for_the_server
                closing::g11_drain_ends_at_its_deadline
                closing::g11_close_cuts_a_drain_short
                closing::g13_the_last_handle_ends_the_driver
                closing::g13_the_receiver_alone_keeps_the_connection
                closing::g13_handles_dropped_while_backing_off
                closing::g13_handles_dropped_before_anything_was_dialled
                closing::g13_handles_dropped_while_writing_is_blocked
                closing::g13_dropping_connect_ends_the_driver
            }
        }
    };
    ($module:ident, $runtime:ident, dials) => {
        mod $module {
            tests_on! { @run $runtime;
                opening::every_form_of_an_endpoint_connects
                opening::what_is_not_an_endpoint_is_refused_by_name
                opening::fail_fast_names_a_failed_lookup
                opening::wait_waits_until_the_server_comes
                options::g10_the_defaults_are_set
                options::what_is_set_is_set
                options::what_is_left_out_is_left_alone
                options::a_bad_option_is_refused_by_name
                options::an_error_of_the_raw_hook_fails_the_attempt
                options::an_address_of_another_host_is_no_place_to_bind
            }
        }
    };
    (@run $runtime:ident; $($topic:ident :: $test:ident)*) => {
        use crate::support::runtimes::{$runtime, Runtime};
        $(
            #[test]
            fn $test() {
                $runtime::run(crate::$topic::$test::<$runtime>());
            }
        )*
    };
}

tests_on!(tokio_current, TokioCurrent);
tests_on!(tokio_multi, TokioMulti);
tests_on!(smol, Smol);
tests_on!(async_std, AsyncStd);
tests_on!(brought, Brought);

/// Dialling is the runtime's own.
mod dialling {
    tests_on!(tokio_current, TokioCurrent, dials);
    tests_on!(tokio_multi, TokioMulti, dials);
    tests_on!(smol, Smol, dials);
    tests_on!(async_std, AsyncStd, dials);
}

/// Where the operating system gives evidence.
#[cfg(target_os = "linux")]
mod proven {
    macro_rules! proven_on {
        ($($module:ident, $runtime:ident;)*) => { $(
            mod $module {
                use crate::evidence;
                use crate::support::runtimes::{$runtime, Runtime};

                #[test]
                fn g04_what_never_left_arrives_on_the_next_epoch() {
                    $runtime::run(evidence::g04_what_never_left_arrives_on_the_next_epoch::<$runtime>());
                }

                #[test]
                fn g04_a_connection_that_times_out_tells_what_never_left() {
                    $runtime::run(
                        evidence::g04_a_connection_that_times_out_tells_what_never_left::<$runtime>(),
                    );
                }
            }
        )* };
    }

    proven_on! {
        tokio_current, TokioCurrent;
        tokio_multi, TokioMulti;
        smol, Smol;
        async_std, AsyncStd;
    }
}

/// Where the whole of 127.0.0.0/8 is this host.
#[cfg(target_os = "linux")]
mod bound {
    use crate::options::it_connects_from_where_it_is_bound;
    use crate::support::runtimes::{AsyncStd, Runtime, Smol, TokioCurrent, TokioMulti};

    #[test]
    fn it_connects_from_where_it_is_bound_on_every_runtime() {
        TokioCurrent::run(it_connects_from_where_it_is_bound::<TokioCurrent>());
        TokioMulti::run(it_connects_from_where_it_is_bound::<TokioMulti>());
        Smol::run(it_connects_from_where_it_is_bound::<Smol>());
        AsyncStd::run(it_connects_from_where_it_is_bound::<AsyncStd>());
    }
}
