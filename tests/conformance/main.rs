//! The conformance suite: one set of tests, written once, run on every runtime over real sockets.
//!
//! A test's name is `runtime::test`; one that proves a promise of the design begins with the
//! promise's number, `g01` to `g13`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]
#![allow(clippy::wildcard_enum_match_arm, reason = "what a test does not expect is one case")]
#![allow(missing_docs, reason = "the names of tests say what they test")]

#[path = "../support/mod.rs"]
mod support;

mod opening;
mod talking;

/// The tests of each topic; `dials` marks those that need a runtime that dials by itself.
macro_rules! tests_on {
    ($module:ident, $runtime:ident) => {
        mod $module {
            tests_on! { @run $runtime;
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
                opening::a_bad_setting_is_named_before_anything_is_dialled
                opening::fail_fast_says_what_failed
                opening::fail_fast_is_over_once_connected
                opening::lazy_dials_with_the_first_message
                opening::lazy_dials_when_asked_to
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
