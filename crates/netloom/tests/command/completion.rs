//! Shell completion of names.

use std::process::Command;

use crate::{NETLOOM, configure, host, mynet, netloom, path};

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let script = "source <(netloom completion bash)
        COMP_WORDS=(netloom \"$@\"); COMP_CWORD=$#
        _netloom_words netloom \"${@: -1}\" \"${COMP_WORDS[COMP_CWORD-1]}\"
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    std::fs::create_dir_all("/run/bin").unwrap();
    drop(std::os::unix::fs::symlink(NETLOOM, "/run/bin/netloom"));
    let output = Command::new("bash")
        .args(["-c", script, "bash"])
        .args(words)
        .env(
            "PATH",
            format!("/run/bin:{}", std::env::var("PATH").unwrap()),
        )
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_completes_networks_namespaces_containers_and_verbs() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let mut hostile = mynet("1.1.0");
    hostile["name"] = "m$(touch /run/executed)".into();
    configure("20-hostile.conf", &hostile);
    let pod = host.pod("testing");
    assert_eq!(offered(&["add", "my"]), ["mynet"]);
    assert_eq!(offered(&["plan", ""]), ["mynet"]);
    let namespaces = offered(&["add", "mynet", ""]);
    let name = pod.path().file_name().unwrap().to_str().unwrap();
    assert!(namespaces.contains(&name.to_owned()), "{namespaces:?}");
    netloom(&["add", "mynet", path(&pod), "--container-id", "web-1"])
        .run()
        .succeeds();
    assert_eq!(
        offered(&["del", "mynet", "x", "--container-id", ""]),
        ["web-1"]
    );
    assert_eq!(offered(&["gc", "mynet", "--keep", ""]), ["web-1/eth0"]);
    assert_eq!(offered(&["netw"]), ["networks"]);
    assert!(offered(&["graph", "--ht"]).contains(&"--html".to_owned()));
    assert!(!std::path::Path::new("/run/executed").exists());
}
