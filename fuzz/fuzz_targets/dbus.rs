//! The answers of the system bus.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netloom_plugins::fuzzing::dbus(bytes));
