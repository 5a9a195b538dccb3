//! Names of images: `busybox` is `docker.io/library/busybox:latest`.

use std::fmt;

use crate::error::{Error, Result};

/// The longest name that registries know.
const LONGEST: usize = 255;

/// The name of an image, complete: registry, repository, and tag or digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference(String);

impl Reference {
    /// Reads a name as people write it, with `docker://` or without.
    ///
    /// # Errors
    /// If it is no name of an image.
    pub fn parse(text: &str) -> Result<Self> {
        let bare = text.strip_prefix("docker://").unwrap_or(text);
        let is_plain = |char: char| {
            char.is_ascii_lowercase()
                || char.is_ascii_digit()
                || "._-/:@".contains(char)
                || char.is_ascii_uppercase()
        };
        let begins = bare.starts_with(|char: char| char.is_ascii_alphanumeric());
        let dotted = bare
            .split(['/', ':', '@'])
            .any(|part| part.is_empty() || part == "." || part == "..");
        if !begins || dotted || bare.len() > LONGEST || !bare.chars().all(is_plain) {
            return Err(Error::new(format!(
                "{text:?} is no name of an image; expected such as busybox:1.36 or registry.example/team/web"
            )));
        }
        let (registry, rest) = match bare.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest)
            }
            _ => ("docker.io", bare),
        };
        let path = match registry == "docker.io" && !rest.contains('/') {
            true => format!("library/{rest}"),
            false => rest.to_owned(),
        };
        let last = path.rsplit('/').next().unwrap_or_default();
        let tag = if last.contains([':', '@']) {
            ""
        } else {
            ":latest"
        };
        Ok(Self(format!("{registry}/{path}{tag}")))
    }

    /// The complete name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As people say it: without what is assumed anyway.
    #[must_use]
    pub fn short(&self) -> &str {
        let bare = self.0.strip_prefix("docker.io/").unwrap_or(&self.0);
        bare.strip_prefix("library/").unwrap_or(bare)
    }

    /// The name of its file in the store.
    pub(super) fn file_name(&self) -> String {
        self.0.replace('/', "+")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed() {
        let full = |text| Reference::parse(text).unwrap().0;
        assert_eq!(full("busybox"), "docker.io/library/busybox:latest");
        assert_eq!(
            full("docker://busybox:1.36"),
            "docker.io/library/busybox:1.36"
        );
        assert_eq!(full("team/web"), "docker.io/team/web:latest");
        assert_eq!(full("localhost/x"), "localhost/x:latest");
        assert_eq!(full("r.example:5000/a/b:t"), "r.example:5000/a/b:t");
        assert_eq!(full("a@sha256:00"), "docker.io/library/a@sha256:00");
        assert_eq!(
            Reference::parse("busybox").unwrap().short(),
            "busybox:latest"
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            "-x",
            "../x",
            "a//b",
            "a b",
            "a/../b",
            "docker://",
            "a:",
            "a\n",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad:?}");
        }
    }
}
