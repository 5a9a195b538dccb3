//! A backup.

use super::Backup;

/// What of it is understood is written again as it was.
pub(crate) fn backup(content: &[u8]) {
    let Some(backup) = Backup::parse(content) else {
        return;
    };
    assert_eq!(Backup::parse(&backup.to_bytes()).as_ref(), Some(&backup));
    let mark = backup.netloom.clone().unwrap_or_default();
    let first = Backup::first(Some(&backup), &backup.attributes(), mark);
    assert_eq!(first.attributes(), backup.attributes());
}
