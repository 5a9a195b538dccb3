//! Delegation to plugins in `CNI_PATH`: shell scripts here, so that nothing of ours is in them.

use crate::call::{Outcome, call_with, env};
use netloom_plugin::{
    AddRequest, AddResult, Attachment, CheckRequest, DelRequest, Env, Error, GcRequest, Invocation,
    Plugin, StatusRequest, Undo, run_linked,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use tempfile::TempDir;

const RESULT: &str =
    r#"{"cniVersion":"1.1.0","ips":[{"address":"10.1.0.5/16"}],"dns":{"domain":"pod.test"}}"#;

fn conf(ipam: &str) -> String {
    format!(
        r#"{{"cniVersion":"1.1.0", "name":"blue","x-own":[1],"type":"upper","ipam":{{"type":"{ipam}"}}}}"#
    )
}

/// An interface plugin that does nothing but delegate.
struct Upper {
    fails: bool,
}

impl Plugin for Upper {
    fn name(&self) -> &'static str {
        "upper"
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let Some(ipam) = request.ipam() else {
            return Ok(AddResult::new());
        };
        let result = ipam.add(undo)?;
        if self.fails {
            Err(Error::new(100, "the link cannot be made"))
        } else {
            Ok(result)
        }
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        request.forward_to_ipam()
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        request.forward_to_ipam()
    }

    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        request.forward_to_ipam()
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        request.forward_to_ipam()
    }
}

const UPPER: &dyn Plugin = &Upper { fails: false };
const FAILING: &dyn Plugin = &Upper { fails: true };

/// A directory with a delegate that logs its calls and then runs `body`.
struct Bin {
    dir: TempDir,
}

impl Bin {
    fn with(name: &str, body: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let log = dir.path().join("log");
        let script = format!(
            "#!/bin/sh\nLOG={}\nstdin=$(cat)\necho \"$CNI_COMMAND\" >> $LOG\n{body}\n",
            log.display()
        );
        let path = dir.path().join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn env(&self, command: &str) -> Env {
        env(command).with(
            "CNI_PATH",
            format!("/no/such/dir:{}", self.dir.path().display()),
        )
    }

    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

fn call(plugin: &dyn Plugin, env: &Env, stdin: &str) -> Outcome {
    call_with(plugin, &[], env, &mut stdin.as_bytes())
}

#[test]
fn the_result_of_the_delegate_is_the_result() {
    let bin = Bin::with("pool", &format!("echo '{RESULT}'"));
    let document = call(UPPER, &bin.env("ADD"), &conf("pool")).document();
    assert_eq!(document["ips"][0]["address"], "10.1.0.5/16");
    assert_eq!(document["dns"]["domain"], "pod.test");
    assert_eq!(bin.log(), ["ADD"]);
}

#[test]
fn a_result_without_a_version_is_of_the_version_of_the_configuration() {
    let bin = Bin::with("pool", r#"echo '{"ips":[{"address":"10.1.0.5/16"}]}'"#);
    let document = call(UPPER, &bin.env("ADD"), &conf("pool")).document();
    assert_eq!(document["ips"][0]["address"], "10.1.0.5/16");
}

#[test]
fn the_delegate_gets_the_environment_and_the_complete_request() {
    let bin = Bin::with(
        "pool",
        &format!(
            "echo \"$CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS $FOO $stdin\" >> $LOG\necho '{RESULT}'"
        ),
    );
    let env = bin
        .env("ADD")
        .with("FOO", "bar")
        .with("PATH", "/usr/bin:/bin");
    call(UPPER, &env, &conf("pool")).document();
    let seen = bin.log().remove(1);
    let (variables, stdin) = seen.split_at(seen.find('{').unwrap());
    assert_eq!(variables, "c1 /no/such/netns eth0 K=V bar ");
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(stdin), value(&conf("pool")));
}

#[test]
fn every_command_is_forwarded() {
    for command in ["CHECK", "DEL", "GC", "STATUS"] {
        let bin = Bin::with("pool", "exit 0");
        call(UPPER, &bin.env(command), &conf("pool")).assert_silent();
        assert_eq!(bin.log(), [command]);
    }
}

#[test]
fn without_an_ipam_type_there_is_nothing_to_forward() {
    for conf in [
        conf(""),
        r#"{"cniVersion":"1.1.0","name":"blue","ipam":{}}"#.to_owned(),
    ] {
        for command in ["CHECK", "DEL", "GC", "STATUS"] {
            call(UPPER, &env(command), &conf).assert_silent();
        }
        assert_eq!(call(UPPER, &env("ADD"), &conf).status, 0);
    }
}

#[test]
fn an_error_of_the_delegate_passes_through_untouched() {
    let object = r#"{"cniVersion":"0.3.0","code":111,"msg":"pool is dry","details":"all taken"}"#;
    let bin = Bin::with("pool", &format!("echo '{object}'; exit 1"));
    for command in ["ADD", "CHECK", "DEL", "GC", "STATUS"] {
        let error = call(UPPER, &bin.env(command), &conf("pool")).error();
        assert_eq!(
            (error.code, error.msg.as_str()),
            (111, "pool is dry"),
            "{command}"
        );
        assert!(error.details.starts_with("all taken"), "{}", error.details);
    }
}

#[test]
fn a_delegate_whose_add_failed_is_called_with_del() {
    let bin = Bin::with(
        "pool",
        r#"[ $CNI_COMMAND = DEL ] || { echo '{"code":111,"msg":"pool is dry"}'; exit 1; }"#,
    );
    let outcome = call(UPPER, &bin.env("ADD"), &conf("pool"));
    assert_eq!(
        outcome.error_parts(),
        (111, "pool is dry".to_owned(), String::new())
    );
    assert_eq!(bin.log(), ["ADD", "DEL"]);
}

#[test]
fn a_del_that_fails_after_a_failed_add_is_mentioned() {
    let bin = Bin::with(
        "pool",
        r#"echo "{\"code\":111,\"msg\":\"$CNI_COMMAND is broken\"}"; exit 1"#,
    );
    let (code, msg, details) = call(UPPER, &bin.env("ADD"), &conf("pool")).error_parts();
    assert_eq!((code, msg.as_str()), (111, "ADD is broken"));
    assert_eq!(
        details,
        "clean-up failed: DEL of the delegate pool: DEL is broken"
    );
}

#[test]
fn a_delegate_that_answers_nonsense_is_called_with_del() {
    for answer in ["", "nonsense", "[]", r#"{"cniVersion":"9.0.0"}"#] {
        let bin = Bin::with("pool", &format!("echo '{answer}'"));
        call(UPPER, &bin.env("ADD"), &conf("pool")).error();
        assert_eq!(bin.log(), ["ADD", "DEL"], "{answer}");
    }
}

#[test]
fn an_add_that_fails_after_its_delegate_succeeded_releases_what_that_took() {
    let bin = Bin::with(
        "pool",
        &format!("[ $CNI_COMMAND = DEL ] || echo '{RESULT}'"),
    );
    let outcome = call(FAILING, &bin.env("ADD"), &conf("pool"));
    assert_eq!(
        outcome.error_parts(),
        (100, "the link cannot be made".to_owned(), String::new())
    );
    assert_eq!(bin.log(), ["ADD", "DEL"]);
}

#[test]
fn a_delegate_that_is_not_there_is_named() {
    let outcome = call(UPPER, &env("ADD"), &conf("pool"));
    let msg = outcome.error().msg;
    assert_eq!(
        msg,
        r#"failed to find plugin "pool" in path [/no/such/dir]"#
    );
}

#[test]
fn a_delegate_with_a_path_separator_is_refused() {
    let bin = Bin::with("pool", "exit 0");
    call(UPPER, &bin.env("DEL"), &conf("./pool")).error();
    assert!(bin.log().is_empty());
}

/// An IPAM plugin of this program.
struct Linked;

impl Plugin for Linked {
    fn name(&self) -> &'static str {
        "linked"
    }

    fn add<'r>(&self, request: &'r AddRequest<'r>, _: &mut Undo<'r>) -> Result<AddResult, Error> {
        request.warn("in process");
        if request.container_id.as_str() == "bad" {
            return Err(Error::new(111, "linked is dry"));
        }
        let mut result = AddResult::new();
        result.dns.domain = "linked.test".to_owned();
        Ok(result)
    }

    fn check(&self, _: &CheckRequest<'_>) -> Result<(), Error> {
        panic!("ouch")
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        request.warn("deleted");
        Ok(())
    }
}

const REGISTRY: &[&'static dyn Plugin] = &[&Linked];

fn linked(command: &str, dir: &Path) -> Outcome {
    let env = env(command).with("CNI_PATH", dir);
    call_with(UPPER, REGISTRY, &env, &mut conf("linked").as_bytes())
}

/// A directory where `linked` is this test program.
fn own_bin() -> TempDir {
    let dir = TempDir::new().unwrap();
    symlink(std::env::current_exe().unwrap(), dir.path().join("linked")).unwrap();
    dir
}

#[test]
fn a_delegate_that_is_this_program_is_called_in_process() {
    let bin = own_bin();
    let outcome = linked("ADD", bin.path());
    assert_eq!(outcome.document()["dns"]["domain"], "linked.test");
    assert_eq!(outcome.stderr, "linked: in process\n");
}

#[test]
fn a_hard_link_to_this_program_is_this_program() {
    let exe = std::env::current_exe().unwrap();
    let dir = TempDir::new_in(exe.parent().unwrap()).unwrap();
    fs::hard_link(&exe, dir.path().join("linked")).unwrap();
    assert_eq!(linked("ADD", dir.path()).stderr, "linked: in process\n");
}

#[test]
fn another_program_of_that_name_is_executed() {
    let bin = Bin::with("linked", &format!("echo '{RESULT}'"));
    let outcome = linked("ADD", bin.dir.path());
    assert_eq!(outcome.document()["dns"]["domain"], "pod.test");
    assert_eq!(bin.log(), ["ADD"]);
}

#[test]
fn a_linked_plugin_must_be_installed_to_be_a_delegate() {
    let dir = TempDir::new().unwrap();
    assert!(
        linked("ADD", dir.path())
            .error()
            .msg
            .starts_with("failed to find plugin \"linked\"")
    );
}

#[test]
fn a_delegate_that_fails_in_process_behaves_as_a_process_does() {
    let bin = own_bin();
    let env = env("ADD")
        .with("CNI_PATH", bin.path())
        .with("CNI_CONTAINERID", "bad");
    let outcome = call_with(UPPER, REGISTRY, &env, &mut conf("linked").as_bytes());
    assert_eq!(
        outcome.error_parts(),
        (111, "linked is dry".to_owned(), String::new())
    );
    assert_eq!(outcome.stderr, "linked: in process\nlinked: deleted\n");
}

#[test]
fn a_delegate_that_panics_in_process_fails_like_any_other() {
    let (code, msg, _) = linked("CHECK", own_bin().path()).error_parts();
    assert_eq!((code, msg.as_str()), (999, "linked: panicked: ouch"));
}

#[test]
fn a_program_with_plugins_linked_in_needs_none_installed() {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let stdin = conf("linked");
    let status = run_linked(Invocation {
        plugin: UPPER,
        registry: REGISTRY,
        env: &env("ADD"),
        stdin: &mut stdin.as_bytes(),
        stdout: &mut stdout,
        stderr: &mut stderr,
    });
    assert_eq!(
        (status, stderr.as_slice()),
        (0, &b"linked: in process\n"[..])
    );
}

/// Deletes, at GC, what its delegate made for somebody who is gone.
struct Collector;

impl Plugin for Collector {
    fn name(&self) -> &'static str {
        "collector"
    }

    fn add<'r>(&self, _: &'r AddRequest<'r>, _: &mut Undo<'r>) -> Result<AddResult, Error> {
        Ok(AddResult::new())
    }

    fn check(&self, _: &CheckRequest<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn del(&self, _: &DelRequest<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        let delegate = request.delegate("pool");
        delegate.look_up()?;
        delegate.del_of(&Attachment {
            container_id: "gone".into(),
            if_name: "net1".into(),
        })
    }
}

#[test]
fn a_delegate_is_called_for_another_attachment_and_can_be_looked_up_before() {
    let note = "echo \"$CNI_CONTAINERID,$CNI_IFNAME,$CNI_NETNS,\" >> $LOG";
    let bin = Bin::with("pool", note);
    call(&Collector, &bin.env("GC"), &conf("pool")).assert_silent();
    assert_eq!(bin.log(), ["DEL", "gone,net1,,"]);
    let other = Bin::with("other", "");
    let error = call(&Collector, &other.env("GC"), &conf("pool")).error();
    assert!(error.msg.contains("pool"), "{error}");
    assert_eq!(other.log(), [""; 0]);
}
