//! A daemon that says anything to the plugin.

use super::super::answer::Answers;
use super::{CallError, Client, CmdArgs, Method};
use crate::fuzzing::assert_one_line;
use netloom_spec::AddResult;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The answer to a call that returns a result, after the greeting or, if the first byte is 0, with
/// it. A result that was understood is what our daemon would answer with.
pub(crate) fn client(input: &[u8]) {
    let Some((choice, said)) = input.split_first() else {
        return;
    };
    match call(said, *choice == 0) {
        Some(Ok(result)) => {
            let again = relayed(&result);
            // Go says nothing of a table or scope of 0.
            assert_eq!(relayed(&again), again);
        }
        Some(Err(error)) => assert_one_line(&error.to_string()),
        None => {}
    }
}

fn relayed(result: &AddResult) -> AddResult {
    let bytes = Answers::default().result(Method::Allocate.name(), 0, result);
    let result = call(&bytes, false).expect("the answer fits");
    result.expect("what was written is read")
}

fn call(said: &[u8], greeted: bool) -> Option<Result<AddResult, CallError>> {
    let (stream, mut daemon) = UnixStream::pair().expect("a pair of sockets");
    // More than the socket holds would wait for a reader.
    if said.len() > 128 * 1024 || daemon.write_all(said).is_err() {
        return None;
    }
    daemon.shutdown(Shutdown::Write).expect("an end");
    let mut client = Client {
        stream,
        deadline: Instant::now() + Duration::from_secs(60),
    };
    if greeted {
        client.shake_hands().ok()?;
    }
    let args = CmdArgs::default();
    Some(client.result(Method::Allocate, &args))
}
