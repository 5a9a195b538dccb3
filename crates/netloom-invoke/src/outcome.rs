//! What the output of a plugin that failed says.

use netloom_spec::{Error as CniError, decode, terminal};
use serde_json::{Deserializer, Map, Value};

use crate::Error;

/// The longest message, and the longest details, of a plugin's error object, in bytes.
const LONGEST: usize = 4 * 1024;

/// How a plugin failed: `end` is how it ended, as text.
pub(crate) fn failure(end: String, stdout: &[u8], stderr: &[u8]) -> Error {
    let stderr = String::from_utf8_lossy(stderr).into_owned();
    if stdout.is_empty() {
        return Error::Died { end, stderr };
    }
    match error_object(stdout) {
        Ok(error) => Error::Plugin {
            error: Box::new(error),
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            stderr,
        },
        Err(problem) => Error::NoErrorObject {
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            problem,
            end,
            stderr,
        },
    }
}

/// The error object in a failed plugin's output: the last object with a code. A plugin may have
/// printed its result before it found a reason to fail (as the reference's plugins do when
/// `CNI_NETNS` turns out to be the host's), and may log to stdout, as text or JSON, before and after.
/// Without a code anywhere, the last document may be an error with nothing but a `msg`.
fn error_object(stdout: &[u8]) -> Result<CniError, String> {
    let (documents, problem) = documents(stdout);
    let objects = || documents.iter().rev().filter_map(Value::as_object);
    let with_code = objects().find(|object| has(object, "code"));
    let bare = || {
        documents
            .last()?
            .as_object()
            .filter(|object| has(object, "msg"))
    };
    match (with_code.or_else(bare), problem) {
        (Some(object), _) => decode::from_object(object)
            .map(bounded)
            .map_err(|error| error.msg),
        (None, Some(problem)) => Err(problem),
        (None, None) if documents.is_empty() => Err("only white space".to_owned()),
        (None, None) => Err("not an object with code and msg".to_owned()),
    }
}

/// What a plugin says is one line each, of a length that a person reads.
fn bounded(error: CniError) -> CniError {
    let line = |text: &str| terminal::bounded_line(text, LONGEST).into_owned();
    CniError {
        msg: line(&error.msg),
        details: line(&error.details),
        ..error
    }
}

/// Every JSON document in the output, and what is wrong with the first text that is none. After
/// such text the next line may begin a document.
fn documents(mut stdout: &[u8]) -> (Vec<Value>, Option<String>) {
    let (mut found, mut problem) = (Vec::new(), None);
    loop {
        let mut rest = Deserializer::from_slice(stdout).into_iter::<Value>();
        let error = loop {
            match rest.next() {
                Some(Ok(document)) => found.push(document),
                Some(Err(error)) => break error,
                None => return (found, problem),
            }
        };
        let bad = &stdout[rest.byte_offset()..];
        problem.get_or_insert_with(|| error.to_string());
        let next = bad.iter().position(|byte| *byte == b'\n');
        stdout = next.map_or(&[], |end| &bad[end + 1..]);
    }
}

fn has(object: &Map<String, Value>, key: &str) -> bool {
    decode::get(object, key).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(stdout: &str, stderr: &str) -> Error {
        failure("exit status 1".into(), stdout.as_bytes(), stderr.as_bytes())
    }

    fn own_error(stdout: &str) -> CniError {
        match failed(stdout, "noise") {
            Error::Plugin { error, .. } => *error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_plugins_error_object_passes_through_whole() {
        let error = own_error(
            r#"{"cniVersion":"1.0.0","code":11,"msg":"try again","details":"busy","more":1}"#,
        );
        assert_eq!(
            (error.code, &*error.msg, &*error.details),
            (11, "try again", "busy")
        );
        assert_eq!(error.cni_version.as_deref(), Some("1.0.0"));
    }

    #[test]
    fn what_an_error_object_says_is_one_line_each_and_what_was_cut_is_counted() {
        let long = "a\\nb\\u001b[2J".repeat(10_000);
        let error = own_error(&format!(
            r#"{{"code":7,"msg":"{long}","details":"{long}"}}"#
        ));
        for text in [&error.msg, &error.details] {
            assert!(
                text.len() <= LONGEST && !text.contains(char::is_control),
                "{text}"
            );
            assert!(
                text.starts_with(r"a\nb\u{1b}[2J") && text.ends_with(" bytes more)"),
                "{text}"
            );
        }
    }

    #[test]
    fn missing_members_of_an_error_object_are_empty() {
        let error = own_error(r#"{"code":100}"#);
        assert_eq!((error.code, &*error.msg, &*error.details), (100, "", ""));
        assert_eq!(own_error(r#"{"msg":"m","code":null}"#).code, 0);
    }

    #[test]
    fn an_error_after_a_result_is_found() {
        assert_eq!(
            own_error("{\"ips\":[]}\n{\"code\":8,\"msg\":\"netns\"}").code,
            8
        );
    }

    #[test]
    fn log_lines_around_the_error_object_are_not_the_error() {
        let json = "{\"level\":\"info\",\"msg\":\"received\"}\n{\"code\":11,\"msg\":\"full\"}\n{\"level\":\"info\",\"msg\":\"done\"}\n";
        let text = "time=10:48 level=debug\n{\n \"code\": 11,\n \"msg\": \"full\"\n}\nbye {\n";
        for stdout in [json, text] {
            let error = own_error(stdout);
            assert_eq!((error.code, &*error.msg), (11, "full"), "{stdout}");
        }
    }

    #[test]
    fn endless_lines_that_are_no_json_are_read_in_linear_time() {
        let stdout = "{\n".repeat(300_000);
        assert!(matches!(failed(&stdout, ""), Error::NoErrorObject { .. }));
    }

    #[test]
    fn no_output_gives_the_texts_that_runtimes_know() {
        let silent = failed("", "");
        assert_eq!(
            silent.to_string(),
            "netplugin failed with no error message: exit status 1"
        );
        assert_eq!(silent.code(), 0);
        assert_eq!(
            failed("", "no such \"device\"\n").to_string(),
            r#"netplugin failed: "no such \"device\"\n": exit status 1"#
        );
    }

    #[test]
    fn output_that_is_not_an_error_object_is_quoted_and_stderr_kept() {
        for stdout in [
            "oops",
            "[1]",
            r#"{"ips":[]}"#,
            r#"{"code":-1}"#,
            r#"{"code":1,"msg":2}"#,
        ] {
            let error = failed(stdout, "on stderr");
            let start =
                format!("netplugin failed but error parsing its diagnostic message {stdout:?}: ");
            let text = error.to_string();
            assert!(
                text.starts_with(&start) && text.ends_with(": exit status 1"),
                "{text}"
            );
            let error = CniError::from(error);
            assert_eq!((error.code, &*error.details), (0, "on stderr"));
        }
    }
}
