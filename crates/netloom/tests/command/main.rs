//! The command as a user runs it: cnitool's verbs and what netloom adds, in throw-away hosts.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod bad_network;
mod broken_files;
mod doctor;
mod forgotten;
mod gc;
mod install;
mod leftovers;
mod life;
mod limit;
mod living;
mod look;
mod missing_binary;
mod output;
mod pipe;
mod remembered;
mod severity;
mod spelling;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use netloom_testkit::{Call, Host, Pod, link_plugins, product};
use serde_json::{Value, json};

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");
const CONF_DIR: &str = "/etc/cni/net.d";
const PLUGINS: &str = "/run/plugins";

/// A host with netloom's plugins.
fn host() -> Option<Host> {
    let host = Host::new()?;
    fs::create_dir_all(CONF_DIR).unwrap();
    link_plugins(NETLOOM, PLUGINS);
    Some(host)
}

fn netloom(arguments: &[&str]) -> Call {
    called(Path::new(NETLOOM), arguments)
}

fn called(program: &Path, arguments: &[&str]) -> Call {
    arguments
        .iter()
        .fold(Call::new(program).env("CNI_PATH", PLUGINS), |call, it| {
            call.arg(it)
        })
}

/// What the verbs print for people is not JSON.
trait Words {
    fn succeeds_with_words(&self) -> String;
    fn fails_with_words(&self, parts: &[&str]);
}

impl Words for netloom_testkit::Outcome {
    #[track_caller]
    fn succeeds_with_words(&self) -> String {
        assert!(self.is_success(), "{self}");
        self.stdout.clone()
    }

    #[track_caller]
    fn fails_with_words(&self, parts: &[&str]) {
        assert_eq!(self.code(), Some(1), "{self}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in:\n{self}");
        }
    }
}

fn path(pod: &Pod) -> &str {
    pod.path().to_str().unwrap()
}

fn configure(file: &str, conf: &Value) {
    fs::write(Path::new(CONF_DIR).join(file), conf.to_string()).unwrap();
}

/// The configuration of the CNI tutorials, in one version.
fn mynet(version: &str) -> Value {
    json!({
        "cniVersion": version, "name": "mynet", "type": "bridge", "bridge": "mybr0",
        "isGateway": true, "ipMasq": true, "ipMasqBackend": "nftables",
        "ipam": {
            "type": "host-local", "subnet": "10.16.0.0/16",
            "routes": [{ "dst": "0.0.0.0/0" }]
        }
    })
}

fn shell_plugin(name: &str, lines: &str) {
    let file = Path::new(PLUGINS).join(name);
    // Not through a link.
    drop(fs::remove_file(&file));
    fs::write(&file, lines).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_namespace_joins_and_leaves_the_tutorials_network_in_every_version() {
    let Some(host) = host() else { return };
    for version in ["0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        configure("10-mynet.conf", &mynet(version));
        let pod = host.pod("testing");
        let result = netloom(&["add", "mynet", path(&pod)]).run().succeeds();
        assert_eq!(result["cniVersion"], version);
        let address = match version {
            "0.2.0" => &result["ip4"]["ip"],
            _ => &result["ips"][0]["address"],
        };
        assert!(
            address.as_str().unwrap().starts_with("10.16.0."),
            "{result:#}"
        );
        assert_eq!(
            result.get("ip4").is_some(),
            version == "0.2.0",
            "{result:#}"
        );
        assert_eq!(
            result["ips"][0].get("version").is_some(),
            version.starts_with("0.3") || version == "0.4.0"
        );
        assert!(pod.pings([10, 16, 0, 1]), "{version}: the gateway answers");

        let listed = netloom(&["list"]).run().succeeds_with_words();
        assert!(
            listed.contains("mynet") && listed.contains("10.16.0."),
            "{listed}"
        );
        let check = netloom(&["check", "mynet", path(&pod)]).run();
        match version {
            "0.2.0" | "0.3.1" => check.fails_with_words(&["does not support the CHECK command"]),
            _ => check.succeeds_silently(),
        }
        netloom(&["del", "mynet", path(&pod)])
            .run()
            .succeeds_silently();
        netloom(&["del", "mynet", path(&pod)])
            .run()
            .succeeds_silently();
        assert_eq!(host.ip("-br link show type veth"), "", "{version}");
        assert_eq!(reserved("mynet"), Vec::<String>::new(), "{version}");
    }
}

fn reserved(network: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(Path::new("/var/lib/cni/networks").join(network)) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock" && !name.starts_with("last_reserved_ip."))
        .collect();
    names.sort();
    names
}

#[test]
fn a_shell_plugin_of_five_lines_works_and_its_stderr_is_visible() {
    let Some(host) = host() else { return };
    shell_plugin(
        "logger",
        "#!/bin/sh\n\
         echo \"logger: $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME\" >&2\n\
         conf=$(cat)\n\
         [ \"$CNI_COMMAND\" = ADD ] && echo \"$conf\" | jq -c '.prevResult // {cniVersion}'\n\
         exit 0\n",
    );
    configure(
        "10-log.conflist",
        &json!({"cniVersion": "1.0.0", "name": "log", "plugins": [
            {"type": "logger"}, {"type": "debug"}, {"type": "logger"}]}),
    );
    let pod = host.pod("testing");
    let added = netloom(&["add", "log", path(&pod)]).run();
    added.succeeds();
    assert_eq!(
        added.stderr.matches("logger: ADD cnitool-").count(),
        2,
        "{added}"
    );
    assert!(
        added.stderr.contains("CmdAdd"),
        "the debug plugin speaks: {added}"
    );
    let deleted = netloom(&["del", "log", path(&pod)]).run();
    deleted.succeeds_silently();
    assert_eq!(
        deleted.stderr.matches("logger: DEL").count(),
        2,
        "{deleted}"
    );
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_defaults() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.0.0"));
    let pod = host.pod("testing");
    let add = netloom(&["add", "mynet", path(&pod), "-i", "net7"]).env("CNI_IFNAME", "net8");
    let result = add.run().succeeds();
    assert_eq!(result["interfaces"][2]["name"], "net7");
    let add = netloom(&["add", "mynet", path(&pod)])
        .env("CNI_IFNAME", "net8")
        .env(
            "CNI_ARGS",
            "IgnoreUnknown=1;IP=10.16.7.7;MAC=02:00:00:00:00:77",
        );
    let result = add.run().succeeds();
    assert_eq!(result["interfaces"][2]["name"], "net8");
    assert_eq!(result["interfaces"][2]["mac"], "02:00:00:00:00:77");
    assert_eq!(result["ips"][0]["address"], "10.16.7.7/16");

    let elsewhere = tempfile::tempdir().unwrap();
    let mut conf = mynet("1.0.0");
    conf["name"] = json!("other");
    conf["capabilities"] = json!({"ips": true});
    fs::write(elsewhere.path().join("x.conf"), conf.to_string()).unwrap();
    let add = netloom(&["add", "other", path(&pod)])
        .env("NETCONFPATH", elsewhere.path())
        .env("CAP_ARGS", r#"{"ips": ["10.16.9.9/16"]}"#);
    assert_eq!(add.run().succeeds()["ips"][0]["address"], "10.16.9.9/16");
}

#[test]
fn bad_environment_is_refused_before_anything_is_executed() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.0.0"));
    let pod = host.pod("testing");
    let add = || netloom(&["add", "mynet", path(&pod)]);
    add()
        .env("CNI_ARGS", "A=1;")
        .run()
        .fails_with_words(&["CNI_ARGS", "A=1;", "KEY=VALUE"]);
    add()
        .env("CAP_ARGS", "[1]")
        .run()
        .fails_with_words(&["CAP_ARGS", "JSON object"]);
    netloom(&["add", "nonet", path(&pod)])
        .run()
        .fails_with_words(&["no net configuration with name \"nonet\"", CONF_DIR]);
    add()
        .env("CNI_PATH", "/nowhere")
        .run()
        .fails_with_words(&["failed to find plugin \"bridge\"", "/nowhere"]);
    assert_eq!(host.ip("-br link show type bridge"), "");

    let out = netloom(&["--json", "add", "nonet", path(&pod)]).run();
    out.fails_with(7).names(&["nonet"]);
}

#[test]
fn best_effort_del_frees_the_rest_and_still_reports() {
    let Some(host) = host() else { return };
    shell_plugin(
        "broken",
        "#!/bin/sh\n\
         [ $CNI_COMMAND = ADD ] && exec jq -c .prevResult\n\
         echo '{\"code\": 100, \"msg\": \"I am broken\"}'\n\
         exit 1\n",
    );
    let mut bridge = mynet("1.0.0");
    bridge
        .as_object_mut()
        .unwrap()
        .retain(|key, _| key != "name" && key != "cniVersion");
    configure(
        "10-mynet.conflist",
        &json!({"cniVersion": "1.0.0", "name": "mynet", "plugins": [bridge, {"type": "broken"}]}),
    );
    let pod = host.pod("testing");
    netloom(&["add", "mynet", path(&pod)]).run().succeeds();
    netloom(&["del", "mynet", path(&pod)])
        .run()
        .fails_with_words(&["I am broken"]);
    assert_eq!(
        reserved("mynet"),
        ["10.16.0.2"],
        "the spec halts at the first error"
    );
    netloom(&["del", "--best-effort", "mynet", path(&pod)])
        .run()
        .fails_with_words(&["I am broken"]);
    assert_eq!(reserved("mynet"), Vec::<String>::new());
}

#[test]
fn validate_and_version_tell_what_would_fail() {
    let Some(_host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    configure(
        "20-bad.conf",
        &json!({"cniVersion": "9.9.9", "name": "bad", "type": "bridge"}),
    );
    fs::write(Path::new(CONF_DIR).join("30-broken.conf"), "{").unwrap();
    let good = netloom(&["validate", "mynet"]).run().succeeds_with_words();
    assert!(good.contains("mynet (1.1.0): bridge"), "{good}");
    let all = netloom(&["validate"]).run();
    all.fails_with_words(&["2 of the configurations"]);
    assert!(
        all.stdout.contains("9.9.9") && all.stdout.contains("30-broken.conf"),
        "{all}"
    );
    // What no plugin accepts, although the tutorial has it.
    let nameless = json!({"cniVersion": "0.2.0", "type": "loopback"});
    configure("40-loopback.conf", &nameless);
    let all = netloom(&["validate"]).run();
    all.fails_with_words(&["3 of the configurations"]);
    assert!(all.stdout.contains("missing network name"), "{all}");
    let loopback = Call::new(Path::new(PLUGINS).join("loopback")).stdin(nameless.to_string());
    let refused = ["ADD", "pod", "eth0", "/run/netns/none", PLUGINS];
    let names = [
        "CNI_COMMAND",
        "CNI_CONTAINERID",
        "CNI_IFNAME",
        "CNI_NETNS",
        "CNI_PATH",
    ];
    let call = names.iter().zip(refused);
    let call = call.fold(loopback, |call, (name, value)| call.env(name, value));
    assert!(call.run().fails().msg.contains("missing network name"));
    let versions = netloom(&["version", "mynet"]).run().succeeds_with_words();
    assert!(
        versions.contains("bridge") && versions.contains("1.1.0"),
        "{versions}"
    );
    let own = netloom(&["version"]).run().succeeds_with_words();
    assert!(own.contains("CNI spec versions: 0.1.0, 0.2.0"), "{own}");
    let library = own
        .lines()
        .find_map(|line| line.strip_prefix("C library: "));
    let library = library.unwrap_or_default();
    assert!(library.starts_with("musl ") || library.starts_with("glibc 2."));
    assert!(library.ends_with("static") || library.ends_with("dynamic"));
}

#[test]
fn help_and_completions_know_every_verb() {
    let help = netloom(&["--help"]).run().succeeds_with_words();
    let bash = netloom(&["completion", "bash"]).run().succeeds_with_words();
    for verb in [
        "add", "check", "del", "gc", "doctor", "status", "version", "validate", "list", "install",
        "demo", "node",
    ] {
        assert!(help.contains(&format!("  {verb} ")), "{help}");
        assert!(bash.contains(verb), "no {verb} in the completions");
    }
    for variable in [
        "NETCONFPATH",
        "CNI_PATH",
        "CNI_ARGS",
        "CAP_ARGS",
        "CNI_IFNAME",
    ] {
        assert!(help.contains(variable), "{help}");
    }
}

#[test]
fn without_the_daemon_its_verbs_say_what_to_install() {
    let alone = tempfile::tempdir().unwrap();
    let copy = alone.path().join("netloom");
    fs::copy(product(NETLOOM), &copy).unwrap();
    let outcome = called(&copy, &["node", "status"])
        .env("PATH", "/nowhere")
        .run();
    assert_eq!(outcome.code(), Some(1));
    for part in [
        "netloom-node is not installed",
        "cargo build --release -p netloom-node",
    ] {
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
    let outcome = called(&copy, &["demo", "--cluster"])
        .env("PATH", "/nowhere")
        .run();
    assert!(
        outcome.stderr.contains("apt-get install etcd-server"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.stdout, "", "nothing was begun");
}

#[test]
fn the_demo_is_green_as_root_and_as_an_ordinary_user() {
    // Alone, so that the plugins are its own and not of an earlier build beside it. The test's target
    // directory need not be readable for others either.
    let public = tempfile::Builder::new()
        .prefix("netloom-demo-")
        .tempdir_in("/tmp")
        .unwrap();
    fs::set_permissions(public.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = public.path().join("netloom");
    fs::copy(product(NETLOOM), &copy).unwrap();
    let shown = called(&copy, &["demo"]).run().succeeds_with_words();
    for part in [
        "ADD pod a",
        "you are 203.0.113.2",
        "nothing is left",
        "The demo is green",
    ] {
        assert!(shown.contains(part), "no {part:?} in:\n{shown}");
    }
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let call = user
        .iter()
        .fold(Call::new("setpriv"), |call, it| call.arg(it));
    let outcome = call.arg(&copy).arg("demo").run();
    if outcome.stderr.contains("unprivileged user namespaces") {
        return netloom_testkit::skip("this kernel refuses user namespaces to ordinary users");
    }
    let shown = outcome.succeeds_with_words();
    assert!(shown.contains("The demo is green"), "{shown}");
}

#[test]
fn the_demo_waits_for_no_plugin_longer_than_it_is_told() {
    let public = tempfile::tempdir_in("/tmp").unwrap();
    let copy = public.path().join("netloom");
    fs::copy(product(NETLOOM), &copy).unwrap();
    let outcome = called(&copy, &["demo", "--timeout", "1ms"]).run();
    outcome.fails_with_words(&["did not finish within its time limit", "1ms"]);
}

#[test]
fn the_demo_says_once_and_in_words_which_namespaces_it_was_refused() {
    let none = "echo 0 >/proc/sys/user/max_net_namespaces && exec \"$0\" demo";
    let words = ["--user", "--map-root-user", "--net", "sh", "-c", none];
    let call = words
        .iter()
        .fold(Call::new("unshare"), |call, it| call.arg(it));
    let outcome = call.arg(product(NETLOOM)).run();
    if !outcome.stdout.contains("a throw-away host") {
        return netloom_testkit::skip("this kernel refuses user namespaces");
    }
    outcome.fails_with_words(&["unshare namespaces net, mount, uts: "]);
    assert!(!outcome.stdout.contains("unshare"), "{outcome}");
}
