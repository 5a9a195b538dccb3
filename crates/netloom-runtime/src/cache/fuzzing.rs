//! A file of the cache that anybody may have written.

use std::path::Path;

use netloom_spec::{AddResult, Version};

use super::entry::Stored;

/// What is understood is written again as it was; an error is one line that names the file.
pub fn attachment_cache(content: &[u8]) {
    let path = Path::new("/var/lib/cni/results/net-cid-eth0");
    match Stored::parse(content, path) {
        Err(error) => told(&error),
        Ok(Stored::Other(object)) => told(&super::entry::wrong_kind(path, &object)),
        Ok(Stored::V1(entry)) => {
            let written = entry.to_json().expect("an entry is written");
            let Ok(Stored::V1(again)) = Stored::parse(&written, path) else {
                panic!("what was written is an entry");
            };
            assert_eq!(again.to_json().expect("an entry is written"), written);
            let result = entry.result.clone().into();
            for version in Version::ALL {
                drop(AddResult::from_value(&result, version));
            }
            match entry.into_attachment(path) {
                Err(error) => told(&error),
                Ok(attachment) => drop(attachment.list()),
            }
        }
    }
}

fn told(error: &super::CacheError) {
    let text = error.to_string();
    assert!(
        text.contains("net-cid-eth0") && !text.contains('\n'),
        "{text:?}"
    );
    assert!(error.candidates("net").len() == 1, "{text:?}");
}
