//! A DHCPv6 server's messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netloom_plugins::fuzzing::dhcp6(bytes));
