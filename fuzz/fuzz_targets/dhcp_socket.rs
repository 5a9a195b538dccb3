//! Both ends of the dhcp daemon's socket.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netloom_plugins::fuzzing::dhcp_socket(bytes));
