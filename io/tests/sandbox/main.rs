//! Refusals of a system, from the start or from a later moment: of io_uring, direct I/O and
//! threads. Also a child of this process, which lacks the threads of its parent.
//!
//! A test that changes the whole process runs in a separate process ([`alone::alone`]).

#![cfg(all(target_os = "linux", target_endian = "little"))]

mod alone;
mod denied;
mod dying;
mod fork;
mod forked;
mod process;
mod seccomp;
mod shortage;
