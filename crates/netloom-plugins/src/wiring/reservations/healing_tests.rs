//! Our operations and foreign changes in any order leave the index that a reading of everything
//! would make.

use super::address::successor;
use super::directory::Directory;
use super::index::Index;
use super::owner::Owner;
use super::store::{Access, Choice, Place, Store};
use super::survey::{Earlier, survey};
use super::table::Entry;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const FIRST: [u8; 4] = [10, 0, 0, 0];
const SIZE: u8 = 12;
const OWNERS: u8 = 8;

#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve(u8),
    Release(u8),
    ReleaseNobody,
    Collect(u8),
    ForeignReserve(u8, u8),
    ForeignRelease(u8),
    /// Freed and given to another owner.
    ForeignReuse(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let (owner, address) = (0..OWNERS, 0..SIZE);
    prop_oneof![
        3 => owner.clone().prop_map(Step::Reserve),
        2 => owner.clone().prop_map(Step::Release),
        1 => Just(Step::ReleaseNobody),
        1 => owner.clone().prop_map(Step::Collect),
        2 => (address.clone(), owner.clone()).prop_map(|(a, o)| Step::ForeignReserve(a, o)),
        2 => address.clone().prop_map(Step::ForeignRelease),
        3 => (address, owner).prop_map(|(a, o)| Step::ForeignReuse(a, o)),
    ]
}

/// Two of them share a container, one has no interface.
fn owner(number: u8) -> Owner {
    match number {
        0 => Owner::container("pod-1"),
        1 => Owner::attachment("pod-1", "eth0"),
        2 => Owner::attachment("pod-1", "eth1"),
        _ => Owner::attachment(&format!("pod-{number}"), "eth0"),
    }
}

fn address(number: u8) -> IpAddr {
    let [a, b, c, d] = FIRST;
    [a, b, c, d + number].into()
}

struct Pool {
    folder: TempDir,
    place: Place,
    /// Whether reservations are to be known by their marks even when they are young.
    trusting: bool,
}

impl Pool {
    fn new(trusting: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            data_dir: folder.path().to_owned(),
            network: "blue".to_owned(),
        };
        fs::create_dir(folder.path().join("blue")).unwrap();
        Self {
            folder,
            place,
            trusting,
        }
    }

    fn reservations(&self) -> Directory {
        Directory::open(self.folder.path().join("blue")).unwrap()
    }

    fn path(&self, number: u8) -> std::path::PathBuf {
        let name = address(number).to_string();
        self.folder.path().join("blue").join(name)
    }

    fn store(&self, access: Access) -> Store {
        let store = Store::open(&self.place, access, Duration::from_secs(30));
        store.unwrap().unwrap()
    }

    /// Does the step; true if it was ours, which leaves an index that counts.
    fn take(&self, step: Step) -> bool {
        match step {
            Step::Reserve(number) => {
                let mut store = self.store(Access::Reserve);
                let held = store.held_by(&owner(number)).unwrap();
                assert_eq!(names(held), self.held_by(&owner(number)));
                // What is not known to be taken may be.
                let mut from = address(0);
                while let Some(free) = store.first_free(from, address(SIZE - 1)) {
                    let owner = owner(number);
                    if store.reserve(free, &owner, Choice::Ours).unwrap() {
                        break;
                    }
                    from = successor(free).unwrap();
                }
                assert!(store.finish().is_none());
            }
            Step::Release(number) => {
                let mut store = self.store(Access::Release);
                store.release(&owner(number), |_| true).unwrap();
                assert!(store.finish().is_none());
                assert_eq!(self.held_by(&owner(number)), BTreeSet::new());
            }
            Step::ReleaseNobody => {
                let mut store = self.store(Access::Release);
                assert!(
                    !store
                        .release(&Owner::container("nobody"), |_| true)
                        .unwrap()
                );
                assert!(store.finish().is_none());
            }
            Step::Collect(number) => {
                let mut store = self.store(Access::Release);
                store.retain(|_, holder| *holder != owner(number)).unwrap();
                assert!(store.finish().is_none());
                assert_eq!(self.held_by(&owner(number)), BTreeSet::new());
            }
            Step::ForeignReserve(at, number) => {
                self.foreign_release(at);
                fs::write(self.path(at), owner(number).content()).unwrap();
                return false;
            }
            Step::ForeignRelease(at) => {
                self.foreign_release(at);
                return false;
            }
            Step::ForeignReuse(at, number) => {
                self.foreign_reuse(at, number);
                return false;
            }
        }
        true
    }

    fn foreign_release(&self, at: u8) {
        let _ = fs::remove_file(self.path(at));
    }

    /// The new file has the old one's inode number, as a rule, but must have another time: the
    /// margin that is there for clocks with coarse steps is what `trusting` takes away.
    fn foreign_reuse(&self, at: u8, number: u8) {
        let reservations = self.reservations();
        let name = address(at).to_string();
        let before = reservations.change(&name).ok();
        loop {
            self.foreign_release(at);
            fs::write(self.path(at), owner(number).content()).unwrap();
            if reservations.change(&name).ok() != before {
                return;
            }
        }
    }

    fn held_by(&self, owner: &Owner) -> BTreeSet<String> {
        let reservations = self.reservations();
        let mut held = reservations.names().unwrap();
        held.retain(|name| {
            name.parse::<IpAddr>().is_ok()
                && Owner::read(&reservations.read(name).unwrap()) == *owner
        });
        names(held)
    }

    fn assert_index_is_right(&self) {
        let reservations = self.reservations();
        let mut index = Index::open(self.folder.path().join(".netloom/blue")).unwrap();
        assert!(index.counts_for(&reservations));
        let everything = survey(&reservations, &Earlier::default()).unwrap();
        assert_eq!(sorted(index.entries().unwrap()), sorted(everything.clone()));
        for number in 0..OWNERS {
            let found = index.names_of(&owner(number)).unwrap().unwrap();
            assert_eq!(names(found), self.held_by(&owner(number)));
        }
        let taken: BTreeSet<_> = everything.iter().filter_map(|e| e.key.address()).collect();
        for number in 0..SIZE {
            let address = address(number);
            let is_clear = index.first_free(address, address).is_some();
            assert!(is_clear || taken.contains(&address), "{address} is lost");
        }
        if self.trusting {
            let later = SystemTime::now() + Duration::from_secs(60);
            let table = File::open(index.table_path()).unwrap();
            table.set_modified(later).unwrap();
        }
    }
}

fn names(names: Vec<String>) -> BTreeSet<String> {
    names.into_iter().collect()
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_unstable();
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_index_is_right_after_any_foreign_changes(
        steps in proptest::collection::vec(step(), 1..30),
        trusting: bool,
    ) {
        let pool = Pool::new(trusting);
        for step in steps.into_iter().chain([Step::ReleaseNobody]) {
            if pool.take(step) {
                pool.assert_index_is_right();
            }
        }
    }
}
