//! What a program's file says about itself: the plugin it was installed as, and its build.
//!
//! Every program that is built with this crate has a stamp of [`LENGTH`] bytes among its data. It is
//! blank in what a compiler made. `netloom install` fills it in, in the file that it puts under a
//! plugin's name; that name holds whatever the file is called later. The stamp begins with a mark, by
//! which it is found in a file.

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// How many bytes a stamp has. It begins at a multiple of that in the file, so that it lies in one page.
pub const LENGTH: usize = 256;

/// Of a stamp alone: nothing else in the program may hold these bytes, see [`find`].
const MARK: [u8; 16] = *b"\x7fnetloom\x00stamp\x001";
const OFFSET: usize = 16;
const BUILD: usize = 24;
const VERSION: usize = 56;
const NAME: usize = 88;
const DEBUG: usize = 152;
const WRAPPER: usize = 153;

/// Read byte by byte as atomics, which the compiler must not take for constants: the file is
/// changed after it was built.
#[repr(align(256))]
struct Bytes([AtomicU8; LENGTH]);

#[used]
static OWN: Bytes = blank(env!("CARGO_PKG_VERSION").as_bytes());

const fn blank(version: &[u8]) -> Bytes {
    let mut bytes = [const { AtomicU8::new(0) }; LENGTH];
    let mut at = 0;
    while at < MARK.len() {
        bytes[at] = AtomicU8::new(MARK[at]);
        at += 1;
    }
    at = 0;
    while at < version.len() && at < NAME - VERSION - 1 {
        bytes[VERSION + at] = AtomicU8::new(version[at]);
        at += 1;
    }
    bytes[DEBUG] = AtomicU8::new(cfg!(debug_assertions) as u8);
    Bytes(bytes)
}

/// A stamp, as it is in a file or in this program.
#[derive(Clone, PartialEq, Eq)]
pub struct Stamp([u8; LENGTH]);

impl Stamp {
    /// This program's own.
    #[must_use]
    pub fn own() -> Self {
        let own = &black_box(&OWN).0;
        Self(std::array::from_fn(|at| own[at].load(Relaxed)))
    }

    /// The stamp in the content of a file, and where it begins.
    #[must_use]
    pub fn find(content: &[u8]) -> Option<(usize, Self)> {
        let own = Self::own();
        let found = content
            .chunks_exact(LENGTH)
            .position(|chunk| chunk.starts_with(own.mark()))?;
        let bytes = content.get(found * LENGTH..)?.first_chunk()?;
        Some((found * LENGTH, Self(*bytes)))
    }

    /// The stamp of a file, if it begins there.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_at(path: &Path, offset: u64) -> io::Result<Option<Self>> {
        let mut bytes = [0; LENGTH];
        let read = File::open(path)?.read_at(&mut bytes, offset)?;
        let stamp = Self(bytes);
        Ok((read == LENGTH && stamp.mark() == Self::own().mark()).then_some(stamp))
    }

    /// Fills it in: for a file of this build, in which the stamp begins at `offset`.
    #[must_use]
    pub fn filled(mut self, name: &str, offset: u64, build: &[u8; 32]) -> Self {
        self.set(OFFSET, BUILD, &offset.to_le_bytes());
        self.set(BUILD, VERSION, build);
        self.set(NAME, DEBUG, name.as_bytes());
        self
    }

    /// As it was built.
    #[must_use]
    pub fn blank(self) -> Self {
        let mut stamp = self.filled("", 0, &[0; 32]);
        stamp.0[WRAPPER] = 0;
        stamp
    }

    /// Makes the file a wrapper, which runs the plugins of its names that are elsewhere.
    #[must_use]
    pub fn wrapping(self) -> Self {
        let mut stamp = self.blank();
        stamp.0[WRAPPER] = 1;
        stamp
    }

    /// Whether the file is a wrapper.
    #[must_use]
    pub fn is_wrapper(&self) -> bool {
        self.0[WRAPPER] != 0
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// The plugin that the file was installed as.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        Some(self.text(NAME, DEBUG)).filter(|name| !name.is_empty())
    }

    /// netloom's version.
    #[must_use]
    pub fn version(&self) -> &str {
        self.text(VERSION, NAME)
    }

    /// What only installed files of one build have in common; zeros before the file was installed.
    #[must_use]
    pub fn build(&self) -> &[u8] {
        &self.0[BUILD..VERSION]
    }

    /// Whether it is no release.
    #[must_use]
    pub fn is_debug(&self) -> bool {
        self.0[DEBUG] != 0
    }

    /// Where it begins in its file; `None` before the file was installed.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        let bytes = self.0[OFFSET..].first_chunk()?;
        Some(u64::from_le_bytes(*bytes)).filter(|offset| *offset != 0)
    }

    /// Whether it is of the same build as an installed file's, and that was installed as `name`.
    #[must_use]
    pub fn is_build_of(&self, other: &Self, name: &str) -> bool {
        self.0[..VERSION] == other.0[..VERSION] && other.name() == Some(name)
    }

    fn mark(&self) -> &[u8] {
        &self.0[..OFFSET]
    }

    fn set(&mut self, from: usize, to: usize, value: &[u8]) {
        let field = &mut self.0[from..to];
        field.fill(0);
        let length = value.len().min(field.len());
        field[..length].copy_from_slice(&value[..length]);
    }

    fn text(&self, from: usize, to: usize) -> &str {
        let field = self.0[from..to].split(|byte| *byte == 0).next();
        field
            .and_then(|text| std::str::from_utf8(text).ok())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_once_in_a_program_and_blank() {
        let content = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let (at, stamp) = Stamp::find(&content).unwrap();
        assert!(stamp == Stamp::own() && stamp.name().is_none() && stamp.offset().is_none());
        assert!(
            Stamp::find(&content[at + LENGTH..]).is_none(),
            "a second one"
        );
        assert_eq!(stamp.version(), env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn what_was_filled_in_is_read_and_can_be_taken_out() {
        let stamp = Stamp::own().filled("host-local", 4096, &[7; 32]);
        assert_eq!(
            (stamp.name(), stamp.offset()),
            (Some("host-local"), Some(4096))
        );
        let sibling = stamp.clone().filled("static", 4096, &[7; 32]);
        assert!(stamp.is_build_of(&sibling, "static"));
        assert!(!stamp.is_build_of(&sibling, "dhcp"), "installed as another");
        let stranger = sibling.clone().filled("static", 4096, &[8; 32]);
        assert!(!stamp.is_build_of(&stranger, "static"), "another build");
        assert!(stamp.blank() == Stamp::own());
    }
}
