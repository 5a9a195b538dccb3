//! subnet.env, resolv.conf, allowlist, iptables-save, backups, leases and reservations.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netloom_plugins::fuzzing::state_files(bytes));
