//! The contract of devices and directories as checks that any crate can run on its own types.
//!
//! ```
//! use kvick_io::MemoryDirectory;
//! use kvick_io::contract::{Subject, checks};
//! use std::sync::Arc;
//!
//! for (name, check) in checks() {
//!     println!("{name}");
//!     check(Subject::new(Arc::new(MemoryDirectory::new())));
//! }
//! ```

mod cancellation;
mod files;
mod subject;
mod transfers;
mod truncation;

pub use subject::Subject;

/// A check. It takes a fresh directory and panics if the directory breaks the contract.
pub type Check = fn(Subject);

/// Returns every check with its name. Each needs a fresh directory.
#[must_use]
pub fn checks() -> Vec<(&'static str, Check)> {
    macro_rules! named {
        ($($module:ident { $($check:ident),+ $(,)? })+) => {
            vec![$($((stringify!($check), $module::$check as Check)),+),+]
        };
    }
    named! {
        transfers {
            what_was_written_is_read_back,
            transfers_cross_segments,
            segments_may_appear_in_any_order,
            reading_past_the_end_is_an_error,
            misaligned_requests_are_refused,
            an_empty_transfer_is_complete,
            more_operations_than_the_depth_wait_their_turn,
            read_many_reports_each_result_in_its_place,
            a_write_behind_ten_thousand_reads_is_carried_out,
            sync_succeeds_with_and_without_writes,
            a_write_with_its_sync_is_read_back,
            discarding_deletes_whole_segments,
            a_device_that_is_opened_again_has_its_bytes,
        }
        files {
            files_are_written_listed_renamed_and_removed,
            two_files_change_names_in_one_step,
            what_does_not_exist_is_not_found,
            a_created_device_exists_before_it_is_written,
            a_physical_block_is_made_of_blocks,
            devices_do_not_mistake_the_files_of_others_for_their_own,
            names_outside_the_grammar_are_refused,
            segment_sizes_are_checked,
            a_lock_is_held_by_one,
        }
        truncation {
            truncating_cuts_and_removes,
            truncating_at_or_beyond_the_end_changes_nothing,
            a_misaligned_truncation_does_nothing,
            what_is_written_after_a_truncation_is_read_and_gaps_are_zeros,
            a_truncated_device_is_found_again,
            truncating_stays_above_what_was_discarded,
            a_truncation_that_is_dropped_takes_place,
        }
        cancellation {
            dropped_operations_give_back_every_buffer,
            a_write_that_creates_a_segment_can_be_dropped,
            operations_outlive_the_device_and_the_directory,
            a_future_may_move_to_another_task_and_thread,
            many_threads_share_a_device,
        }
    }
}
