//! Every log keeps the contract of the trait `Log`.

#![cfg(test)]

/// What is tested, and words to say it with.
mod subject;

/// Servers that hold a log.
mod servers;

/// Positions with holes, seen without.
mod ranked;

/// Positions, batches, and what those who append at once see.
mod appending;
/// A key that was used before.
mod idempotency;
/// Random operations, compared with a naive model.
mod model;
/// Pages, and what they select.
mod reading;
/// Limits, and what is known of what was dropped.
mod retention;
/// What the tail gives.
mod tail;
/// Topics: their list, their end, and erasing them.
mod topics;

/// The embedded log: damaged files give errors, not panics.
mod damage;
/// The embedded log: a disk that fails.
mod faults;
/// The embedded log: opened again, everything is there.
mod reopening;
/// The embedded log: the disk shrinks.
mod shrinking;

/// of which a hub takes what is followed there.
mod selective;
/// The log in Redis: what several hubs see, and a server that goes away.
mod shared;
/// The same of the log in NATS,
mod streamed;

/// Runs each test against each log.
macro_rules! conformance {
    ($($tests:tt)*) => {
        against! { memory, crate::subject::Memory, $($tests)* }
        against! { redis, crate::servers::Redis::new(), $($tests)* }
        against! { nats, crate::servers::Nats::new(), $($tests)* }
        against! { nats_by_heads, crate::servers::Nats::by_heads(), $($tests)* }
        against! { embedded, crate::subject::Embedded::new(), $($tests)* }
    };
}

macro_rules! against {
    ($log:ident, $subject:expr, $($module:ident: [$($test:ident),* $(,)?]),* $(,)?) => {
        mod $log {
            $(mod $module { $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    crate::$module::$test(&$subject).await;
                }
            )* })*
        }
    };
}

conformance! {
    appending: [
        positions_begin_with_one_and_have_no_holes,
        a_batch_is_appended_whole_or_not_at_all,
        a_batch_without_events_answers_the_newest_position,
        time_does_not_run_backwards,
        batches_of_concurrent_appenders_stay_together,
        whoever_got_an_answer_reads_it,
        an_append_that_nobody_waits_for_harms_nobody,
        a_closed_log_refuses_what_would_change_it,
    ],
    idempotency: [
        a_key_answers_as_the_first_time,
        concurrent_repetitions_append_once,
        a_key_is_forgotten_after_its_window,
        a_key_is_forgotten_when_there_are_too_many,
        a_key_of_a_refused_batch_is_not_used,
    ],
    reading: [
        an_event_is_read_as_it_was_appended,
        pages_end_at_each_bound,
        a_page_has_one_event_at_least,
        a_page_says_how_far_it_has_read,
        what_is_selected_is_read_in_one_order,
        a_star_does_not_select_the_hubs_own,
        a_topic_among_many_others_is_found,
        the_last_ones_of_a_selection_are_found,
        many_of_the_last_ones_are_found,
    ],
    retention: [
        nothing_is_dropped_without_limits,
        topics_are_trimmed_to_their_number_of_events,
        topics_are_trimmed_to_their_bytes,
        topics_are_trimmed_to_their_age,
        the_first_rule_that_selects_a_topic_counts,
        the_oldest_of_all_go_first,
        all_topics_together_are_trimmed_to_an_age,
        kept_after_is_the_newest_that_was_dropped,
        kept_after_knows_of_forgotten_topics,
        what_is_dropped_is_noticed_by_whom_it_concerns,
        a_topic_that_comes_back_has_not_kept_what_was_forgotten,
        trimming_in_many_steps_ends_at_the_limits,
        appending_goes_on_while_trimming,
    ],
    tail: [
        the_tail_is_taken_once,
        the_tail_gives_everything_once_in_order,
        the_tail_gives_ends_and_erasures,
        a_tail_that_nobody_reads_any_more_holds_up_nobody,
        the_tail_ends_with_the_log,
    ],
    topics: [
        topics_are_listed_by_name,
        a_topic_is_known_by_its_counts,
        an_ended_topic_refuses_events,
        a_topic_may_end_without_an_event,
        an_erased_topic_is_empty_and_begins_anew,
        an_ended_topic_that_is_forgotten_begins_anew,
    ],
}
