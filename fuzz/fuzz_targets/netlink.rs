//! The kernel's answers: rtnetlink, nf_tables, connection tracking.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netloom_kernel::fuzzing::netlink(bytes));
