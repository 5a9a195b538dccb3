//! The root file system that the user means, and what an image says about its command.

use netloom_run::{Error, Result, Root};

use crate::cli::pod::Run;

/// What the user means, and the words behind it.
pub(super) struct Source {
    kind: Kind,
    arguments: Vec<String>,
}

enum Kind {
    Root(Root),
}

/// What an image says about the command.
#[derive(Default)]
pub(super) struct OfImage {
    pub(super) env: Vec<String>,
    pub(super) cwd: String,
    pub(super) user: String,
    entrypoint: Vec<String>,
    arguments: Vec<String>,
}

impl OfImage {
    /// What runs: the user's words in place of the image's arguments; else a shell.
    pub(super) fn command(&self, words: &[String]) -> Vec<String> {
        let words = match words {
            [] => &self.arguments,
            words => words,
        };
        let command: Vec<_> = self.entrypoint.iter().chain(words).cloned().collect();
        match command.is_empty() {
            true => vec!["/bin/sh".to_owned()],
            false => command,
        }
    }
}

pub(super) fn source(run: &Run) -> Result<Source> {
    let root = match &run.rootfs {
        None => Root::Host,
        Some(dir) => {
            let failed = |error| Error::new(format!("--rootfs {dir:?}: {error}"));
            let path = dir.canonicalize().map_err(failed)?;
            if !path.is_dir() {
                return Err(Error::new(format!("--rootfs {dir:?} is no directory")));
            }
            Root::Directory {
                path,
                writable: run.rw,
            }
        }
    };
    Ok(Source {
        kind: Kind::Root(root),
        arguments: run.command.clone(),
    })
}

pub(super) fn open(source: Source) -> Result<(Root, OfImage, Vec<String>)> {
    let of_image = OfImage {
        cwd: "/".to_owned(),
        ..OfImage::default()
    };
    match source.kind {
        Kind::Root(root) => Ok((root, of_image, source.arguments)),
    }
}
