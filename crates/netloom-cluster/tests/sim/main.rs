//! `cluster-sim`: whole clusters in one thread, with virtual time. The machines are the real ones; the
//! store, the disks, the clocks, the network between and the pods are simulated and fail as the seed
//! says. After each step it is checked that no address is given twice and that nothing is lost.
//!
//! `NETLOOM_SEEDS=10000` runs so many seeds, `NETLOOM_SEED=7` one with a log of what happens. Seeds that
//! failed once are in `seeds.txt` and run always.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod checks;
mod disk;
mod invariants;
mod lies;
mod node;
mod random;
mod scenarios;
mod store;
mod world;
