//! A DHCP server's packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netloom_plugins::fuzzing::dhcp4(bytes));
