//! Files of a pool that anybody may have written.

use crate::fuzzing::assert_one_line;
use crate::wiring::reservations::address::successor;
use crate::wiring::reservations::directory::Directory;
use crate::wiring::reservations::index::Index;
use crate::wiring::reservations::owner::Owner;
use crate::wiring::reservations::resolv_conf as resolver;
use crate::wiring::reservations::store::{Access, Choice, Place, Store};
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NETWORK: &str = "blue";
const FIRST: [u8; 4] = [10, 0, 0, 0];
const SIZE: u8 = 8;

/// The content of a reservation: its owner is the same however often it is written and read.
pub(crate) fn reservation(content: &[u8]) {
    let owner = Owner::read(content);
    assert_eq!(Owner::read(owner.content()), owner);
    assert_eq!(
        Owner::read(owner.content()).fingerprint(),
        owner.fingerprint()
    );
    assert_one_line(&owner.to_string());
}

/// A resolver configuration: no value holds what would become another line.
pub(crate) fn resolv_conf(content: &[u8]) {
    let dns = resolver::parse(&String::from_utf8_lossy(content));
    let all = [&dns.nameservers, &dns.search, &dns.options];
    let words = all.into_iter().flatten();
    assert!(
        words
            .chain([&dns.domain])
            .all(|word| !word.contains(['\n', ' ']))
    );
}

/// A pool whose index, blocks, last address and reservations are the input's, then calls on it:
/// nobody's reservation is overwritten or removed by another.
///
/// Each file is preceded by its length in two bytes. First comes a byte that says whether the index
/// counts, last the calls.
pub fn host_local_store(input: &[u8]) {
    let Some((counts, mut rest)) = input.split_first() else {
        return;
    };
    let home = Home::new();
    let mut files = vec![
        home.index().join(format!(
            ".owners-{}",
            crate::wiring::reservations::index::boot_id().expect("an id")
        )),
        home.index().join(".taken-10.0.0.0"),
        home.index().join(".reserving"),
        home.reservations().join("last_reserved_ip.0"),
    ];
    files.extend((0..4).map(|number| home.path(number)));
    for file in files {
        let Some((content, after)) = part(rest) else {
            break;
        };
        rest = after;
        if !content.is_empty() {
            fs::write(file, content).expect("a file");
        }
    }
    if counts & 1 == 1 {
        home.stamp();
    }
    let mut holders = home.holders();
    for call in rest.iter().take(8) {
        holders = home.call(*call, &holders);
    }
}

fn part(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_le_bytes(*length).into())
}

/// A pool in memory, empty at first.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        let home = Self(Path::new("/dev/shm").join(format!("netloom-fuzz-{}", std::process::id())));
        for directory in [home.reservations(), home.index()] {
            drop(fs::remove_dir_all(&directory));
            fs::create_dir_all(directory).expect("a directory");
        }
        home
    }

    fn reservations(&self) -> PathBuf {
        self.0.join(NETWORK)
    }

    fn index(&self) -> PathBuf {
        self.0.join(".netloom").join(NETWORK)
    }

    fn path(&self, number: u8) -> PathBuf {
        self.reservations().join(address(number).to_string())
    }

    /// Makes the index count, whatever is in it.
    fn stamp(&self) {
        let reservations = Directory::open(self.reservations()).expect("a directory");
        let index = Index::open(self.index()).expect("an index");
        index.stamp(&reservations).expect("a stamp");
    }

    fn holders(&self) -> BTreeMap<u8, Owner> {
        let read = |number| Some((number, Owner::read(&fs::read(self.path(number)).ok()?)));
        (0..SIZE).filter_map(read).collect()
    }

    /// Makes a call, and tells who holds what then.
    fn call(&self, call: u8, before: &BTreeMap<u8, Owner>) -> BTreeMap<u8, Owner> {
        let owner = owner(call >> 4);
        match call % 4 {
            0 => self.with(Access::Release, |store| {
                drop(store.release(&owner, |_| true))
            }),
            1 => self.with(Access::Read, |store| drop(store.holders())),
            2 => self.with(Access::Release, |store| {
                drop(store.retain(|_, held| *held == owner))
            }),
            _ => self.with(Access::Reserve, |store| reserve(store, &owner)),
        }
        let after = self.holders();
        for (number, holder) in before {
            let kept = after.get(number) == Some(holder);
            let may_go = match call % 4 {
                0 => *holder == owner,
                2 => *holder != owner,
                _ => false,
            };
            assert!(
                kept || may_go && !after.contains_key(number),
                "{holder} lost {number}"
            );
        }
        let is_new = |number: &&u8| !before.contains_key(number);
        for number in after.keys().filter(is_new) {
            assert!(
                call % 4 == 3 && after[number] == owner,
                "{number} has no owner"
            );
        }
        after
    }

    fn with(&self, access: Access, act: impl FnOnce(&mut Store)) {
        let place = Place {
            data_dir: self.0.clone(),
            network: NETWORK.to_owned(),
        };
        let store = Store::open(&place, access, Duration::from_secs(5));
        let mut store = store.expect("a store").expect("a directory");
        act(&mut store);
        if let Some(trouble) = store.finish() {
            assert_one_line(&trouble.to_string());
        }
    }
}

/// As an ADD does, from the address after the last one on.
fn reserve(store: &mut Store, owner: &Owner) {
    let last = store.last_reserved(0).filter(|last| last.is_ipv4());
    let mut from = last
        .and_then(successor)
        .unwrap_or(address(0))
        .clamp(address(0), address(SIZE - 1));
    while let Some(free) = store.first_free(from, address(SIZE - 1)) {
        if store
            .reserve(free, owner, Choice::Ours)
            .is_ok_and(|reserved| reserved)
        {
            store.set_last_reserved(0, free).expect("a last address");
            return;
        }
        let Some(next) = successor(free) else { return };
        from = next;
    }
}

fn address(number: u8) -> IpAddr {
    let [a, b, c, d] = FIRST;
    [a, b, c, d + number].into()
}

fn owner(number: u8) -> Owner {
    match number {
        0 => Owner::container("pod-1"),
        1 => Owner::attachment("pod-1", "eth0"),
        2 => Owner::attachment("pod-1", "eth1"),
        _ => Owner::attachment(&format!("pod-{number}"), "eth0"),
    }
}
