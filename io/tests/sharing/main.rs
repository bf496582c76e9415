//! Several handles, threads and queues on one directory. The contract suite covers only one of
//! each. These tests also cover operations on a glommio executor.
//!
//! A test is an async function of a `Subject`; the lists below assign tests to subjects. Every
//! subject has a tiny depth and few threads, so that queues fill and limits apply.

mod bytes;
mod discarding;
mod dropping;
mod handles;
mod subjects;
mod sync;
mod together;
mod truncating;

use std::io;

use crate::subjects::Subject;

/// Runs one test on one subject, or prints why it cannot.
fn check(make: fn() -> io::Result<Subject>, test: impl AsyncFn(&Subject) -> io::Result<()>) {
    match make() {
        Ok(subject) => subject.run(test(&subject)).expect("the subject keeps the contract"),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => println!("skipped: {error}"),
        Err(error) => panic!("the subject cannot be made: {error}"),
    }
}

/// A module of tests for each subject.
macro_rules! subjects {
    ($($subject:ident),+ run $tests:tt) => {
        $(suite!($subject $tests);)+
    };
}

macro_rules! suite {
    ($subject:ident { $($area:ident :: $test:ident,)+ }) => {
        mod $subject {
            $(
                #[test]
                fn $test() {
                    crate::check(crate::subjects::$subject, crate::$area::$test);
                }
            )+
        }
    };
}

macro_rules! everything {
    ($($also:ident :: $test:ident,)* : $($subject:ident),+) => {
        subjects!($($subject),+ run {
            together::more_operations_than_the_depth,
            together::a_task_may_move,
            dropping::dropped_futures_give_their_buffers_back,
            dropping::handles_may_go_before_their_operations,
            sync::syncs_complete_without_a_buffer,
            discarding::whole_segments_are_deleted,
            discarding::a_device_is_found_again_without_them,
            discarding::reads_in_flight_complete,
            truncating::what_is_written_again_is_read,
            handles::a_device_is_found_by_another_handle,
            handles::a_lock_outlives_the_handle_it_came_from,
            handles::an_operation_begins_at_its_first_poll,
            handles::segments_are_read_by_large_and_small,
            $($also::$test,)*
        });
    };
}

// Some tests use threads of their own, each with an executor that parks it.
everything!(
    together::threads_do_not_disturb_each_other,
    together::reads_do_not_starve_writes,
    together::writes_do_not_starve_reads,
    : threads, one_backend
);

// One thread drives a simulated disk.
everything!(: simulated);

// Memory has no queues in which an operation could starve.
everything!(together::threads_do_not_disturb_each_other, : memory);

#[cfg(target_os = "linux")]
everything!(
    together::threads_do_not_disturb_each_other,
    together::reads_do_not_starve_writes,
    together::writes_do_not_starve_reads,
    : uring, shared_memory
);

#[cfg(all(feature = "glommio", target_os = "linux"))]
everything!(: glommio);
