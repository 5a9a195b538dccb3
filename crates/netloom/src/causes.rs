//! An error and its causes in one line.

/// Each cause once: errors of the libraries tell their causes in their own text, and have them as
/// sources for programs all the same.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    #[test]
    fn a_cause_that_an_error_tells_itself_is_not_told_again() {
        let read = netloom_runtime::load::directory("/proc/version").unwrap_err();
        let once = read.to_string();
        let error = anyhow::Error::new(read).context("list the networks");
        assert_eq!(super::told(&error), format!("list the networks: {once}"));
        let plain: anyhow::Result<()> = Err(anyhow!("a")).context("b");
        assert_eq!(super::told(&plain.unwrap_err()), "b: a");
    }
}
