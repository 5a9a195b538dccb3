//! What goes wrong on purpose: authors of runtimes see what theirs does when a plugin misbehaves.

use crate::wiring::choice::Choice;
use crate::wiring::setup_error::invalid;
use netloom_spec::{Error, code};
use rustix::process::{Signal, getpid, kill_process};
use serde::Deserialize;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

/// One entry of `faults`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fault {
    operation: String,
    kind: String,
    code: Option<u32>,
    msg: Option<String>,
    seconds: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Error,
    Panic,
    Crash,
    Hang,
    Garbage,
    Flood,
    FloodStderr,
}

const KINDS: Choice<Kind> = Choice {
    what: "kind of fault",
    words: &[
        ("error", Kind::Error),
        ("panic", Kind::Panic),
        ("crash", Kind::Crash),
        ("hang", Kind::Hang),
        ("garbage", Kind::Garbage),
        ("flood", Kind::Flood),
        ("flood-stderr", Kind::FloodStderr),
    ],
};

const OPERATIONS: Choice<()> = Choice {
    what: "operation of a fault",
    words: &[
        ("ADD", ()),
        ("CHECK", ()),
        ("DEL", ()),
        ("GC", ()),
        ("STATUS", ()),
    ],
};

/// What is printed without end, and in place of JSON.
const LINE: &[u8] = b"this is no JSON, but what debug was asked to print\n";

/// Refuses what no fault can be made of, and two for one operation.
pub(super) fn validate(faults: &[Fault]) -> Result<(), Error> {
    for (index, fault) in faults.iter().enumerate() {
        let told = |what: &str| Err(invalid(format!("faults[{index}]: {what}")));
        let Some(kind) = KINDS.read(&fault.kind)? else {
            return told("kind is empty");
        };
        if OPERATIONS.read(&fault.operation)?.is_none() {
            return told("operation is empty");
        }
        let operation = &fault.operation;
        if faults[..index].iter().any(|it| it.operation == *operation) {
            return told(&format!("{operation} has a fault already"));
        }
        if kind != Kind::Error && (fault.code.is_some() || fault.msg.is_some()) {
            return told("code and msg are for the kind \"error\"");
        }
        if fault.code == Some(0) {
            return told("code 0 is no error, it must be from 1, a plugin's own from 100");
        }
        if kind != Kind::Hang && fault.seconds.is_some() {
            return told("seconds are for the kind \"hang\"");
        }
    }
    Ok(())
}

/// Does what was asked for this operation, if anything was. What it prints goes past the framework, which keeps
/// stdout to one document.
pub(super) fn strike(faults: &[Fault], operation: &str) -> Result<(), Error> {
    let Some(fault) = faults.iter().find(|fault| fault.operation == operation) else {
        return Ok(());
    };
    let Some(kind) = KINDS.read(&fault.kind)? else {
        return Ok(());
    };
    match kind {
        Kind::Error => Err(fault.error()),
        Kind::Panic => panic!("{operation} was asked to panic"),
        Kind::Crash => {
            let died = kill_process(getpid(), Signal::KILL);
            died.map_err(|cause| failed(&cause.into()))
        }
        Kind::Hang => {
            hang(fault.seconds);
            Ok(())
        }
        Kind::Garbage => io::stdout().write_all(LINE).map_err(|it| failed(&it)),
        Kind::Flood => Err(flood(&mut io::stdout().lock())),
        Kind::FloodStderr => Err(flood(&mut io::stderr().lock())),
    }
}

impl Fault {
    fn error(&self) -> Error {
        let operation = &self.operation;
        let msg = self.msg.clone();
        Error::new(
            self.code.unwrap_or(100),
            msg.unwrap_or_else(|| format!("debug: {operation} was asked to fail")),
        )
    }
}

/// Until it is killed, if nobody says for how long.
fn hang(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => thread::sleep(Duration::from_secs(seconds)),
        None => loop {
            thread::park();
        },
    }
}

/// Prints until nobody takes it any more.
fn flood(stream: &mut dyn Write) -> Error {
    let lines = LINE.repeat(1024);
    loop {
        if let Err(cause) = stream.write_all(&lines) {
            return failed(&cause);
        }
    }
}

fn failed(cause: &io::Error) -> Error {
    Error::new(
        code::IO,
        format!("debug: a fault could not be made: {cause}"),
    )
}
