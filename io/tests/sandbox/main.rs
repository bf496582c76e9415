//! What a system refuses, from the start or from some moment on: io_uring, direct I/O, threads; and
//! what a child of this process does without the threads of its parent.
//!
//! What changes the whole process runs in one of its own ([`alone::alone`]).

#![cfg(all(target_os = "linux", target_endian = "little"))]

mod alone;
mod denied;
mod dying;
mod fork;
mod forked;
mod process;
mod seccomp;
mod shortage;
