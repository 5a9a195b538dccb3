//! Bytes of an image, counted, digested and unfolded while they are read.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::zstd::Zstd;
use crate::error::{Doing, Error, Result};

/// Documents of an image are never longer.
const LONGEST_DOCUMENT: u64 = 4 << 20;

/// Up to here anything may unfold to anything.
const SMALL: u64 = 64 << 20;

/// What a layer that is no bomb unfolds to at most, for each byte.
const RATIO: u64 = 200;

/// A SHA-256 in hexadecimal digits.
pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digits of `sha256:…`.
pub(super) fn digits(digest: &str) -> Result<&str> {
    let digits = digest.strip_prefix("sha256:").unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match digits.len() == 64 && digits.bytes().all(is_plain) {
        true => Ok(digits),
        false => Err(Error::new(format!(
            "the digest {digest:?} is not sha256: and 64 hexadecimal digits"
        ))),
    }
}

/// A whole document, whose digest is compared where it is known.
pub(super) fn document(reader: impl Read, what: &str, expected: Option<&str>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .take(LONGEST_DOCUMENT + 1)
        .read_to_end(&mut bytes)
        .doing(|| format!("read {what}"))?;
    if bytes.len() as u64 > LONGEST_DOCUMENT {
        return Err(Error::new(format!("{what} is longer than 4 MiB")));
    }
    if let Some(expected) = expected {
        same(what, &hex(&Sha256::digest(&bytes)), digits(expected)?)?;
    }
    Ok(bytes)
}

pub(super) fn same(what: &str, found: &str, expected: &str) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::new(format!(
            "{what} has the digest sha256:{found}, and sha256:{expected} is expected: the image is damaged or \
             was changed"
        ))),
    }
}

/// What is wrong with a tar, in one line: the reader of tars quotes the bytes that it did not understand.
pub(super) fn tar_fault(error: &io::Error) -> String {
    let words = error.to_string();
    match words.contains("when getting") || words.contains("numeric field") {
        true => "it is no tar, or it is damaged".to_owned(),
        false => words,
    }
}

/// Digests and counts what is read through it.
pub(super) struct Digesting<R> {
    inner: R,
    digest: Sha256,
    count: Arc<AtomicU64>,
}

impl<R: Read> Digesting<R> {
    pub(super) fn new(inner: R) -> Self {
        let (digest, count) = (Sha256::new(), Arc::default());
        Self {
            inner,
            digest,
            count,
        }
    }

    pub(super) fn count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.count)
    }

    /// The digest of all, after the rest was read too.
    pub(super) fn finish(mut self) -> io::Result<String> {
        let mut rest = [0; 1 << 14];
        while self.read(&mut rest)? > 0 {}
        Ok(hex(&self.digest.finalize()))
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digest.update(&buffer[..count]);
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// What unfolds of a layer, refused when it becomes too much for what it was.
pub(super) struct Unfolding<R> {
    inner: R,
    taken: Arc<AtomicU64>,
    given: u64,
}

impl<R: Read> Read for Unfolding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.given += count as u64;
        let most = self.taken.load(Ordering::Relaxed).saturating_mul(RATIO);
        if self.given > SMALL.max(most) {
            return Err(io::Error::other(format!(
                "it unfolds to more than {RATIO} times its size, as no real layer does"
            )));
        }
        Ok(count)
    }
}

/// The tar of a layer, however it is compressed.
pub(super) fn unfold<'a>(
    reader: impl Read + 'a,
    taken: Arc<AtomicU64>,
) -> Result<Unfolding<Box<dyn Read + 'a>>> {
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    let begin = reader.fill_buf().doing(|| "read a layer")?;
    let inner: Box<dyn Read + 'a> = match begin {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(reader)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(Zstd::new(reader))
        }
        _ => Box::new(reader),
    };
    Ok(Unfolding {
        inner,
        taken,
        given: 0,
    })
}
