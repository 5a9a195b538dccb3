//! A result on a plugin's stdout, read in and converted to every version.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_spec::{AddResult, Version};

fuzz_target!(|bytes: &[u8]| {
    for expected in Version::ALL {
        let Ok(result) = AddResult::parse(bytes, expected) else {
            continue;
        };
        for version in Version::ALL {
            let Ok(text) = result.to_json(version) else {
                continue;
            };
            let again =
                AddResult::parse(text.as_bytes(), version).expect("what was written is read");
            assert_eq!(again.to_json(version), Ok(text));
        }
    }
});
