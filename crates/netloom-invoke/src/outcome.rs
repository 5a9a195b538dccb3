//! What the output of a plugin that failed says.

use netloom_spec::{Error as CniError, decode};
use serde_json::{Deserializer, Map, Value};

use crate::Error;

/// How a plugin failed: `end` is how it ended, as text.
pub(crate) fn failure(end: String, stdout: &[u8], stderr: &[u8]) -> Error {
    let stderr = String::from_utf8_lossy(stderr).into_owned();
    if stdout.is_empty() {
        return Error::Died { end, stderr };
    }
    match error_object(stdout) {
        Ok(error) => Error::Plugin(error),
        Err(problem) => Error::NoErrorObject {
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            problem,
            end,
            stderr,
        },
    }
}

/// The error object in a failed plugin's output. It is the last document: a plugin may have
/// printed its result before it found a reason to fail (as the reference's plugins do when
/// `CNI_NETNS` turns out to be the host's).
fn error_object(stdout: &[u8]) -> Result<CniError, String> {
    let documents = Deserializer::from_slice(stdout).into_iter::<Value>();
    let documents: Vec<Value> = documents
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())?;
    match documents.last() {
        Some(Value::Object(object)) if is_error(object) => {
            decode::from_object(object).map_err(|error| error.msg)
        }
        Some(_) => Err("not an object with code and msg".to_owned()),
        None => Err("only white space".to_owned()),
    }
}

fn is_error(object: &Map<String, Value>) -> bool {
    ["code", "msg"]
        .into_iter()
        .any(|key| decode::get(object, key).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(stdout: &str, stderr: &str) -> Error {
        failure("exit status 1".into(), stdout.as_bytes(), stderr.as_bytes())
    }

    fn own_error(stdout: &str) -> CniError {
        match failed(stdout, "noise") {
            Error::Plugin(error) => error,
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
