//! How a process ended, in the words that runtimes know.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// `exit status 1`, `signal: killed`, `signal: aborted (core dumped)`.
pub(super) fn text(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return format!("exit status {}", status.code().unwrap_or_default());
    };
    let core = if status.core_dumped() {
        " (core dumped)"
    } else {
        ""
    };
    match name(signal) {
        Some(name) => format!("signal: {name}{core}"),
        None => format!("signal: signal {signal}{core}"),
    }
}

/// The usual names (signal(7)) of the signals that end a process.
fn name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        31 => "bad system call",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_process_is_told_in_known_words() {
        for (wait_status, expected) in [
            (0x0300, "exit status 3"),
            (9, "signal: killed"),
            (0x80 | 11, "signal: segmentation fault (core dumped)"),
            (40, "signal: signal 40"),
        ] {
            assert_eq!(text(ExitStatus::from_raw(wait_status)), expected);
        }
    }
}
