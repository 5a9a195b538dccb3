//! State directories on disks so small that they can be filled, and files that can be damaged.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use netloom_testkit::Host;

use crate::random::Random;

const DISKS: [&str; 2] = ["/var/lib/cni", "/run/cni"];
const FILLER: &str = ".filler";

/// Mounts the disks.
pub(crate) fn mount(host: &Host) {
    for disk in DISKS {
        host.sh(&format!(
            "mkdir -p {disk}; mount -t tmpfs -o size=3m,mode=755 tmpfs {disk}"
        ));
    }
}

/// Which disks are full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Full([bool; 2]);

impl Full {
    pub(crate) fn any(random: &mut Random) -> Self {
        Self(random.one_of(&[[true, false], [false, true], [true, true]]))
    }

    pub(crate) fn is_any(self) -> bool {
        self.0.contains(&true)
    }

    /// Uses what has become free up.
    pub(crate) fn fill(self) {
        for (disk, _) in DISKS.iter().zip(self.0).filter(|(_, full)| *full) {
            let path = Path::new(disk).join(FILLER);
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            while file.write_all(&[b'x'; 4096]).is_ok() {}
        }
    }

    pub(crate) fn free(&mut self) {
        for disk in DISKS {
            drop(fs::remove_file(Path::new(disk).join(FILLER)));
        }
        *self = Self::default();
    }
}

pub(crate) const RESULTS: &str = "/var/lib/cni/results";

/// Where files are that somebody may damage.
const STATE: [&str; 8] = [
    RESULTS,
    "/var/lib/cni/networks/nft",
    "/var/lib/cni/networks/ipt",
    "/var/lib/cni/networks/ptp",
    "/var/lib/cni/networks/flan",
    "/var/lib/cni/flannel",
    "/run/cni/tuning",
    "/run/cni/dhcp.sock.leases",
];

/// The files of a directory that hold state; no locks, nothing hidden.
pub(crate) fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_state = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        path.is_file() && name != "lock" && !name.starts_with('.')
    };
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(is_state).collect();
    files.sort();
    files
}

/// A file that was damaged: how, and what its name and content said before.
pub(crate) struct Damage {
    pub(crate) path: PathBuf,
    pub(crate) how: &'static str,
    pub(crate) said: String,
}

/// Damages a file, or removes it; not those that these words are in.
pub(crate) fn damage(random: &mut Random, spared: &[String]) -> Option<Damage> {
    let mut files = files(random.one_of(&STATE));
    let is_spared = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.starts_with(RESULTS) && spared.iter().any(|word| name.contains(word))
    };
    files.retain(|path| !is_spared(path));
    if files.is_empty() {
        return None;
    }
    let path = files[random.below(files.len())].clone();
    let content = fs::read(&path).unwrap_or_default();
    let said = format!("{} {}", path.display(), String::from_utf8_lossy(&content));
    let (how, now) = match random.below(5) {
        0 => ("emptied", Some(Vec::new())),
        1 => ("truncated", Some(content[..content.len() / 2].to_vec())),
        2 => ("zeroed", Some(vec![0; content.len()])),
        3 => ("overwritten", Some(b"}{\xff garbage \r\n\r\n".to_vec())),
        _ => ("removed", None),
    };
    match now {
        None => fs::remove_file(&path).unwrap(),
        // A full disk may refuse: then there is less of it still.
        Some(now) => drop(File::create(&path).and_then(|mut file| file.write_all(&now))),
    }
    Some(Damage { path, how, said })
}
