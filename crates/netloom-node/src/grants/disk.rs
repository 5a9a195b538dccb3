//! What the node may give, on its disk: see [`netloom_cluster::disk`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use netloom_cluster::SpaceName;
use netloom_cluster::disk::{CLUSTER, ClusterFile, GRANTS, Grant, GrantsFile, LOCK, LONGEST_FILE};
use netloom_cluster::grants::{DiskOp, DiskReply, Usage};
use netloom_cluster::grid::Block;
use rustix::fs::{FlockOperation, flock};

use crate::files;

/// What was found.
pub(super) struct Found {
    pub(super) cluster: Option<ClusterFile>,
    pub(super) spaces: BTreeMap<SpaceName, Option<GrantsFile>>,
}

/// Reads all files. A damaged one is told, and taken as the machine wants it.
pub(super) fn load(root: &Path) -> Result<Found> {
    fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
    let longest = LONGEST_FILE as u64;
    files::clear(&root.join(CLUSTER));
    let cluster = files::read(&root.join(CLUSTER), longest)?.and_then(|bytes| {
        let parsed = ClusterFile::parse(&bytes);
        parsed
            .inspect_err(|error| note!("{CLUSTER} is damaged: {error}"))
            .ok()
    });
    let mut spaces = BTreeMap::new();
    for space in names(root)? {
        let path = root.join(space.as_str()).join(GRANTS);
        files::clear(&path);
        if let Some(bytes) = files::read(&path, longest)? {
            let parsed = GrantsFile::parse(&bytes);
            let told = parsed.inspect_err(|error| note!("{} is damaged: {error}", path.display()));
            spaces.insert(space, told.ok());
        }
    }
    Ok(Found { cluster, spaces })
}

/// The spaces that have a folder.
pub(super) fn names(root: &Path) -> Result<Vec<SpaceName>> {
    files::folders(root, |name| SpaceName::new(name).ok())
}

/// Carries out what the machine says.
pub(super) fn perform(root: &Path, op: DiskOp) -> DiskReply {
    let outcome = match op {
        DiskOp::WriteGrants(space, file) => write(root, &space, &file).map(|()| DiskReply::Done),
        DiskOp::Withdraw { space, file, taken } => withdraw(root, &space, &file, &taken),
        DiskOp::Count(space) => usage(root, &space).map(DiskReply::Reserved),
        DiskOp::WriteCluster(file) => {
            write_bytes(&root.join(CLUSTER), file.to_json()).map(|()| DiskReply::Done)
        }
    };
    outcome.unwrap_or_else(|error| DiskReply::Failed(format!("{error:#}")))
}

fn write(root: &Path, space: &SpaceName, file: &GrantsFile) -> Result<()> {
    write_bytes(&root.join(space.as_str()).join(GRANTS), file.to_json())
}

fn write_bytes(path: &Path, bytes: Vec<u8>) -> Result<()> {
    let text = String::from_utf8(bytes).context("JSON is text")?;
    files::write(path, &text, 0o600).map(drop)
}

/// Under the lock that the plugin takes before it reserves an address.
fn withdraw(
    root: &Path,
    space: &SpaceName,
    file: &GrantsFile,
    taken: &[Grant],
) -> Result<DiskReply> {
    let path = root.join(space.as_str()).join(LOCK);
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    flock(&lock, FlockOperation::LockExclusive)
        .with_context(|| format!("cannot lock {}", path.display()))?;
    let usage = usage(root, space)?;
    let reserved = |grant: &Grant| {
        usage
            .get(&grant.block)
            .is_some_and(|bits| bits & grant.span.mask() != 0)
    };
    if taken.iter().any(reserved) {
        return Ok(DiskReply::InUse(usage));
    }
    write(root, space, file)?;
    Ok(DiskReply::Done)
}

/// Which addresses are reserved.
pub(super) fn usage(root: &Path, space: &SpaceName) -> Result<Usage> {
    let folder = root.join(space.as_str());
    let mut usage = Usage::new();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(usage),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", folder.display()));
        }
    };
    for entry in entries {
        let name = entry?.file_name();
        let Some(address) = name.to_str().and_then(|text| text.parse::<IpAddr>().ok()) else {
            continue;
        };
        let block = Block::of(address);
        if let Some(place) = block.place(address) {
            *usage.entry(block).or_default() |= 1 << place;
        }
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netloom_cluster::grid::Span;

    fn grant(first: &str, len: u8) -> Grant {
        let first: IpAddr = first.parse().unwrap();
        let block = Block::of(first);
        Grant {
            block,
            span: Span::new(block.place(first).unwrap(), len).unwrap(),
            epoch: 1,
            pin: None,
        }
    }

    #[test]
    fn what_has_a_reservation_is_not_withdrawn_and_the_rest_is() {
        let root = tempfile::tempdir().unwrap();
        let space = SpaceName::new("sriov").unwrap();
        fs::create_dir(root.path().join("sriov")).unwrap();
        fs::write(root.path().join("sriov/10.9.0.5"), "id\r\neth0").unwrap();
        let file = GrantsFile {
            grants: vec![grant("10.9.0.0", 16), grant("10.9.0.16", 16)],
            ..GrantsFile::default()
        };
        let written = || fs::read(root.path().join("sriov").join(GRANTS)).unwrap();
        let write = DiskOp::WriteGrants(space.clone(), file.clone());
        assert_eq!(perform(root.path(), write), DiskReply::Done);
        let withdraw = |taken: &Grant| {
            let mut file = file.clone();
            file.grants.retain(|it| it != taken);
            let (space, taken) = (space.clone(), vec![taken.clone()]);
            perform(root.path(), DiskOp::Withdraw { space, file, taken })
        };
        let usage = Usage::from([(Block::of("10.9.0.5".parse().unwrap()), 1 << 5)]);
        assert_eq!(withdraw(&file.grants[0]), DiskReply::InUse(usage));
        assert_eq!(GrantsFile::parse(&written()).as_ref(), Ok(&file));
        assert_eq!(withdraw(&file.grants[1]), DiskReply::Done);
        let left = GrantsFile::parse(&written()).unwrap();
        assert_eq!(left.grants, file.grants[..1]);
    }
}
