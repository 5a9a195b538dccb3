//! A pool of host-local on disk, its index and blocks with it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netloom_plugins::fuzzing::host_local_store(bytes));
