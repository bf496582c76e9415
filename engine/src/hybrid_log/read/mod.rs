//! Reads of the device: of one record, and of pages in order.

mod budget;
pub(super) mod record_reader;
pub(super) mod scan;
