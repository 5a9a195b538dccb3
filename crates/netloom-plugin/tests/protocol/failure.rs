//! What happens when an operation fails, panics or cannot deliver its result.

use crate::call::{Adder, CONF, call, env};
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, Cleanup, DelRequest, Error, GcRequest, Invocation, Plugin,
    StatusRequest, Undo, code, run,
};
use std::cell::RefCell;
use std::io::{self, Write};

thread_local! {
    /// What the undo steps of this test did.
    static UNDONE: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

fn undone() -> Vec<&'static str> {
    UNDONE.take()
}

fn push_two(undo: &mut Undo<'_>) {
    for what in ["first", "second"] {
        undo.on_failure(what, move || {
            UNDONE.with_borrow_mut(|undone| undone.push(what));
            Ok(())
        });
    }
}

#[test]
fn a_failed_add_is_undone_last_first() {
    let adder = Adder(|_, undo| {
        push_two(undo);
        Err(Error::new(code::TRY_AGAIN_LATER, "busy"))
    });
    let outcome = call(&adder, &env("ADD"), CONF);
    assert_eq!(
        outcome.error_parts(),
        (11, "busy".to_owned(), String::new())
    );
    assert_eq!(undone(), ["second", "first"]);
}

#[test]
fn a_successful_add_is_not_undone() {
    let adder = Adder(|_, undo| {
        push_two(undo);
        Ok(AddResult::new())
    });
    assert_eq!(call(&adder, &env("ADD"), CONF).status, 0);
    assert!(undone().is_empty());
}

#[test]
fn a_panic_is_undone_and_reported_as_one_document() {
    let adder = Adder(|_, undo| {
        push_two(undo);
        panic!("index {} is on fire", 7);
    });
    let (code, msg, details) = call(&adder, &env("ADD"), CONF).error_parts();
    assert_eq!(
        (code, msg.as_str()),
        (999, "adder: panicked: index 7 is on fire")
    );
    assert!(details.contains("defect"), "{details}");
    assert_eq!(undone(), ["second", "first"]);
}

#[test]
fn an_undo_that_fails_or_panics_stops_nothing_and_is_reported() {
    let adder = Adder(|_, undo| {
        push_two(undo);
        undo.on_failure("remove the link", || Err(Error::new(999, "device busy")));
        undo.on_failure("remove the rule", || panic!("oh"));
        Err(Error::new(100, "no").with_details("because"))
    });
    let (code, msg, details) = call(&adder, &env("ADD"), CONF).error_parts();
    assert_eq!((code, msg.as_str()), (100, "no"));
    let rule = details.find("clean-up failed: remove the rule: remove the rule: panicked: oh");
    let link = details.find("clean-up failed: remove the link: device busy");
    assert!(details.starts_with("because; "), "{details}");
    assert!(rule.unwrap() < link.unwrap(), "{details}");
    assert_eq!(undone(), ["second", "first"]);
}

#[test]
fn a_result_that_the_version_cannot_hold_fails_the_add() {
    let adder = Adder(|_, undo| {
        push_two(undo);
        Ok(AddResult::new())
    });
    let conf = r#"{"cniVersion":"0.2.0","name":"blue"}"#;
    let error = call(&adder, &env("ADD"), conf).error();
    assert!(error.msg.contains("no valid IP addresses"), "{}", error.msg);
    assert_eq!(undone(), ["second", "first"]);
}

/// A stdout that takes a number of bytes and then fails like a pipe nobody reads, for good or once.
struct Pipe {
    takes: usize,
    recovers: bool,
    got: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.takes == 0 {
            self.takes = if self.recovers { usize::MAX } else { 0 };
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(self.takes);
        self.takes -= count;
        self.got.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn broken(takes: usize) -> Pipe {
    Pipe {
        takes,
        recovers: false,
        got: Vec::new(),
    }
}

/// The exit status and stderr of an ADD.
fn add_into(pipe: &mut Pipe) -> (i32, Vec<u8>) {
    let adder = Adder(|_, undo| {
        push_two(undo);
        Ok(AddResult::new())
    });
    let mut stderr = Vec::new();
    let status = run(Invocation {
        plugin: &adder,
        registry: &[],
        env: &env("ADD"),
        stdin: &mut CONF.as_bytes(),
        stdout: pipe,
        stderr: &mut stderr,
    });
    (status, stderr)
}

#[test]
fn a_result_that_nobody_reads_is_undone_and_told_on_stderr() {
    let (status, stderr) = add_into(&mut broken(0));
    assert_eq!((status, Error::parse(&stderr).unwrap().code), (1, 5));
    assert_eq!(undone(), ["second", "first"]);
}

#[test]
fn an_error_is_printed_when_nothing_of_the_result_is_out() {
    let mut pipe = Pipe {
        recovers: true,
        ..broken(0)
    };
    let (status, stderr) = add_into(&mut pipe);
    assert_eq!((status, stderr.is_empty()), (1, true));
    assert_eq!(Error::parse(&pipe.got).unwrap().code, 5);
    assert_eq!(undone(), ["second", "first"]);
}

#[test]
fn half_a_result_is_never_followed_by_a_second_document() {
    let mut pipe = Pipe {
        recovers: true,
        ..broken(10)
    };
    let (status, stderr) = add_into(&mut pipe);
    assert_eq!((status, Error::parse(&stderr).unwrap().code), (1, 5));
    assert_eq!(pipe.got, b"{\n    \"cni");
    assert_eq!(undone(), ["second", "first"]);
}

#[test]
fn a_version_that_nobody_reads_is_an_io_error() {
    let mut pipe = broken(0);
    let plugin = crate::call::Probe::default();
    let mut stderr = Vec::new();
    let status = run(Invocation {
        plugin: &plugin,
        registry: &[],
        env: &env("VERSION"),
        stdin: &mut &b""[..],
        stdout: &mut pipe,
        stderr: &mut stderr,
    });
    assert_eq!((status, Error::parse(&stderr).unwrap().code), (1, 5));
}

/// Panics in everything but ADD.
struct Panics;

impl Plugin for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn add<'r>(&self, _: &'r AddRequest<'r>, _: &mut Undo<'r>) -> Result<AddResult, Error> {
        Ok(AddResult::new())
    }

    fn check(&self, _: &CheckRequest<'_>) -> Result<(), Error> {
        panic!("ouch")
    }

    fn del(&self, _: &DelRequest<'_>) -> Result<(), Error> {
        std::panic::panic_any(7)
    }

    fn gc(&self, _: &GcRequest<'_>) -> Result<(), Error> {
        panic!("ouch")
    }

    fn status(&self, _: &StatusRequest<'_>) -> Result<(), Error> {
        panic!("ouch")
    }
}

#[test]
fn a_panic_of_any_operation_is_a_cni_error() {
    for command in ["CHECK", "GC", "STATUS"] {
        let (code, msg, _) = call(&Panics, &env(command), CONF).error_parts();
        assert_eq!((code, msg.as_str()), (999, "panics: panicked: ouch"));
    }
    let (code, msg, _) = call(&Panics, &env("DEL"), CONF).error_parts();
    assert_eq!((code, msg.as_str()), (999, "panics: panicked: no message"));
}

#[test]
fn a_cleanup_without_failures_succeeds() {
    let mut cleanup = Cleanup::new();
    cleanup.step("remove the link", Ok::<(), Error>(()));
    assert_eq!(cleanup.finish(), Ok(()));
}

#[test]
fn a_cleanup_reports_the_first_failure_and_lists_the_others() {
    let mut cleanup = Cleanup::new();
    cleanup.step("a", Err(Error::new(11, "locked")));
    cleanup.step("b", Ok::<(), Error>(()));
    cleanup.step("c", Err(Error::new(999, "busy")));
    let expected = Error::new(11, "locked").with_details("also failed: c: busy");
    assert_eq!(cleanup.finish(), Err(expected));
}
