//! Which addresses are taken, one bit for each.
//!
//! A block is the 65,536 addresses that share all but the last 16 bits, and a file
//! `.taken-<first address>` in the index with a bit for each: lowest address, lowest bit, first.
//! Blocks belong to the address space and not to a range, so a changed configuration changes
//! nothing, and a huge IPv6 range costs only the blocks in use.
//!
//! A set bit keeps the allocator from trying an address. A clear bit, or a missing file, means
//! nothing: whoever takes the address finds out. So a bit may be forgotten, but it must not be
//! left behind by an address that is free again.

use super::address::{from_number, number, same_family};
use super::directory::Directory;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, pread, pwrite};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::os::fd::OwnedFd;

/// How the files' names begin. Owners' names do not begin with a dot.
pub(crate) const PREFIX: &str = ".taken-";
const SIZE: u128 = 1 << 16;
const BYTES: usize = 1 << 13;

/// The blocks that were looked at.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    loaded: HashMap<IpAddr, Block>,
}

#[derive(Debug, Default)]
struct Block {
    file: Option<OwnedFd>,
    /// As many bytes as the file has; the rest are zero.
    bits: Vec<u8>,
}

impl Blocks {
    /// The first address from `from` to `to`, both included, whose bit is clear.
    pub(crate) fn first_clear(
        &mut self,
        index: &Directory,
        from: IpAddr,
        to: IpAddr,
    ) -> Option<IpAddr> {
        let (mut at, end) = (number(from), number(to));
        debug_assert!(same_family(from, to), "a range has one family");
        while at <= end {
            let base = at - at % SIZE;
            let last = end.min(base + (SIZE - 1));
            let block = self.block(index, from_number(base, from));
            if let Some(offset) = first_clear(&block.bits, at - base, last - base) {
                return Some(from_number(base + offset, from));
            }
            at = last.checked_add(1)?;
        }
        None
    }

    /// Sets or clears an address's bit. A block without a file gets one only if `create`.
    pub(crate) fn mark(
        &mut self,
        index: &Directory,
        address: IpAddr,
        taken: bool,
        create: bool,
    ) -> Result<(), Errno> {
        let base = base(address);
        let offset = number(address) % SIZE;
        let block = self.block(index, base);
        let (byte, mask) = ((offset / 8) as usize, 1_u8 << (offset % 8));
        let old = block.bits.get(byte).copied().unwrap_or(0);
        let new = if taken { old | mask } else { old & !mask };
        if old == new {
            return Ok(());
        }
        if block.bits.len() <= byte {
            block.bits.resize(byte + 1, 0);
        }
        block.bits[byte] = new;
        if block.file.is_none() && create {
            block.file = Some(open(index, base, OFlags::CREATE)?);
        }
        // Otherwise the bit is kept in memory only, for the search that goes on.
        block
            .file
            .as_ref()
            .map_or(Ok(()), |file| pwrite(file, &[new], byte as u64).map(drop))
    }

    /// Writes the blocks of all taken addresses and returns their files' names.
    ///
    /// A single address is not worth a file: the worst that can happen is that it is tried in vain.
    pub(crate) fn write_all(
        &mut self,
        index: &Directory,
        taken: impl Iterator<Item = IpAddr>,
    ) -> Result<Vec<String>, Errno> {
        self.loaded.clear();
        let mut blocks: BTreeMap<IpAddr, Vec<u128>> = BTreeMap::new();
        for address in taken {
            blocks
                .entry(base(address))
                .or_default()
                .push(number(address) % SIZE);
        }
        blocks.retain(|_, offsets| offsets.len() > 1);
        for (base, offsets) in &blocks {
            let mut bits = vec![0; BYTES];
            for offset in offsets {
                bits[(offset / 8) as usize] |= 1 << (offset % 8);
            }
            index.overwrite(&file_name(*base), &bits)?;
        }
        Ok(blocks.into_keys().map(file_name).collect())
    }

    /// A block that cannot be read is as good as one without a file.
    fn block(&mut self, index: &Directory, base: IpAddr) -> &mut Block {
        self.loaded.entry(base).or_insert_with(|| {
            let Ok(file) = open(index, base, OFlags::empty()) else {
                return Block::default();
            };
            let mut bits = vec![0; BYTES];
            let count = pread(&file, &mut bits, 0).unwrap_or(0);
            bits.truncate(count);
            Block {
                file: Some(file),
                bits,
            }
        })
    }
}

fn base(address: IpAddr) -> IpAddr {
    let number = number(address);
    from_number(number - number % SIZE, address)
}

fn file_name(base: IpAddr) -> String {
    format!("{PREFIX}{base}")
}

fn open(index: &Directory, base: IpAddr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(index.fd(), file_name(base), flags, Mode::RUSR | Mode::WUSR)
}

fn first_clear(bits: &[u8], from: u128, to: u128) -> Option<u128> {
    let mut at = from;
    while at <= to {
        let byte = bits.get((at / 8) as usize).copied().unwrap_or(0);
        let clear = !byte >> (at % 8);
        if clear != 0 {
            return Some(at + u128::from(clear.trailing_zeros())).filter(|found| *found <= to);
        }
        at = (at / 8 + 1) * 8;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn directory() -> (tempfile::TempDir, Directory) {
        let dir = tempfile::tempdir().unwrap();
        let open = Directory::open(dir.path().to_owned()).unwrap();
        (dir, open)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    proptest! {
        #[test]
        fn the_first_clear_bit_is_found(
            taken in proptest::collection::btree_set(0_u128..100, 0..100),
            from in 0_u128..110,
            length in 0_u128..110,
        ) {
            let mut bits = vec![0_u8; taken.last().map_or(0, |last| *last as usize / 8 + 1)];
            for bit in &taken {
                bits[(bit / 8) as usize] |= 1 << (bit % 8);
            }
            let expected = (from..=from + length).find(|bit| !taken.contains(bit));
            prop_assert_eq!(first_clear(&bits, from, from + length), expected);
        }
    }

    #[test]
    fn bits_are_kept_over_the_border_of_two_blocks() {
        let (_guard, index) = directory();
        let mut blocks = Blocks::default();
        for address in ["10.0.255.254", "10.0.255.255", "10.1.0.0"] {
            blocks.mark(&index, ip(address), true, true).unwrap();
        }
        let mut blocks = Blocks::default();
        let mut first = |from, to| blocks.first_clear(&index, ip(from), ip(to));
        assert_eq!(first("10.0.255.254", "10.1.0.9"), Some(ip("10.1.0.1")));
        assert_eq!(first("10.0.255.254", "10.1.0.0"), None);
        assert_eq!(first("10.0.255.0", "10.1.0.0"), Some(ip("10.0.255.0")));
        let mut blocks = Blocks::default();
        blocks
            .mark(&index, ip("10.0.255.255"), false, false)
            .unwrap();
        let mut blocks = Blocks::default();
        let found = blocks.first_clear(&index, ip("10.0.255.254"), ip("10.1.0.9"));
        assert_eq!(found, Some(ip("10.0.255.255")));
    }

    #[test]
    fn a_block_without_a_file_is_free_and_the_last_one_has_an_end() {
        let (_guard, index) = directory();
        let mut blocks = Blocks::default();
        let last = IpAddr::from([0xff; 16]);
        assert_eq!(blocks.first_clear(&index, last, last), Some(last));
        blocks.mark(&index, last, true, false).unwrap();
        assert_eq!(blocks.first_clear(&index, last, last), None);
        assert!(
            index.names().unwrap().is_empty(),
            "a file was made without being asked for"
        );
        let last = ip("255.255.255.255");
        blocks.mark(&index, last, true, true).unwrap();
        assert_eq!(blocks.first_clear(&index, last, last), None);
    }

    #[test]
    fn only_blocks_in_use_are_written() {
        let (_guard, index) = directory();
        let taken = ["10.0.0.1", "10.0.0.2", "10.9.0.1", "fd00::1", "fd00::2"].map(ip);
        let names = Blocks::default()
            .write_all(&index, taken.into_iter())
            .unwrap();
        assert_eq!(names, [".taken-10.0.0.0", ".taken-fd00::"]);
        let on_disk: BTreeSet<String> = index.names().unwrap().into_iter().collect();
        assert_eq!(on_disk, names.into_iter().collect());
    }
}
