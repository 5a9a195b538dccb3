//! A file of the attachment cache.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netloom_runtime::fuzzing::attachment_cache(bytes));
