//! What the daemon writes to its log.

/// One line to stderr, where a service manager keeps it.
pub(super) fn line(text: &str) {
    use std::io::Write;
    let line = format!("dhcp: {}\n", text.replace('\n', " "));
    // A log that cannot be written must not end the daemon.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
