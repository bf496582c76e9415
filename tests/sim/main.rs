//! The whole store on one thread, under a seed: executor, clock, disk and faults are simulated.
//!
//! `SEED=7 cargo test -p tests --test sim -- NAME` replays one run of one test.

mod bounded;
mod cancellation;
mod checkpoint_bytes;
mod checkpoint_cases;
mod checkpoint_controls;
mod checkpoint_faults;
mod checkpoint_health;
mod checkpoint_lives;
mod checkpoint_shapes;
mod checkpoint_space;
mod closing;
mod control;
mod corruption;
mod crash;
mod everything;
mod exclusions;
mod failures;
mod far;
mod full_device;
mod leaks;
mod log_crash;
mod log_drops;
mod log_excuses;
mod log_faults;
mod log_followers;
mod log_idle;
mod log_large;
mod log_readers;
mod log_rot;
mod log_space;
mod log_work;
mod many_sessions;
mod newer;
mod opening;
mod orphaned_logs;
mod orphans;
mod overtaken;
mod pressure;
mod rot;
mod session_points;
mod space;
mod syncs;
mod transient;
mod workload;
