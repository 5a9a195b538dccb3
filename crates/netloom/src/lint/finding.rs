//! What is found in a configuration.

use std::ops::Range;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Works, and may surprise.
    Note,
    /// Works, and probably not as meant.
    Warning,
    /// ADD refuses it.
    Error,
}

impl Level {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A replacement of bytes of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fix {
    pub(crate) span: Range<usize>,
    pub(crate) text: String,
}

/// Something that is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Its rule, as docs/lint.md tells it.
    pub(crate) rule: &'static str,
    pub(crate) level: Level,
    /// One line that says what is wrong.
    pub(crate) message: String,
    /// The bytes of the file that it is about; those at its beginning if it is about the whole.
    pub(crate) span: Range<usize>,
    /// A few words under these bytes.
    pub(crate) label: String,
    /// What would be right.
    pub(crate) help: Option<String>,
    /// The change that makes it right, where there is no doubt about it.
    pub(crate) fix: Option<Fix>,
}

impl Finding {
    pub(crate) fn new(
        rule: &'static str,
        level: Level,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            level,
            message: message.into(),
            span,
            label: String::new(),
            help: None,
            fix: None,
        }
    }

    pub(crate) fn label(self, label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..self
        }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// With the change that mends it, and what it does in words.
    pub(crate) fn fix(
        self,
        span: Range<usize>,
        text: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let fix = Fix {
            span,
            text: text.into(),
        };
        Self {
            fix: Some(fix),
            ..self.help(help)
        }
    }
}
