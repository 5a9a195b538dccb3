//! Every plugin's way from its configuration to its plan.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netloom_plugins::fuzzing::plans(bytes));
