//! Requests that cannot be meant end with 2, before anything is done; what fails ends with 1.

use std::process::{Command, Output};

fn node(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netloom-node"))
        .args(words)
        .env_remove("NETLOOM_ETCD")
        .env_remove("NODE_NAME")
        .output()
        .unwrap()
}

#[test]
fn misuse_ends_with_2_and_says_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().join("run").to_str().unwrap().to_owned();
    let run = |more: &[&'static str]| {
        let mut words = vec!["run", "--run-dir", "RUN"];
        words.extend(more);
        words
    };
    let here = "http://127.0.0.1:1";
    let init = |more: &[&'static str]| [&["init", "--network", "10.0.0.0/16"], more].concat();
    let wrong: Vec<(Vec<&str>, &str)> = vec![
        (vec![], "Usage"),
        (vec!["rum"], "'rum'"),
        (vec!["status", "--jsno"], "--jsno"),
        (vec!["init", "--etcd", here], "--network"),
        (init(&["--etcd", "http://192.0.2.1:2379"]), "--insecure"),
        (
            init(&["--etcd", "ftp://127.0.0.1:1"]),
            "https://10.0.0.1:2379 is right",
        ),
        (
            init(&["--etcd", here, "--prefix", "x"]),
            "/coreos.com/network is right",
        ),
        (
            init(&["--etcd", here, "--network", "10.1.0.0/16"]),
            "one of that family already",
        ),
        (
            init(&["--kubernetes", "--net-conf", "/nonexistent"]),
            "cannot read /nonexistent",
        ),
        (
            vec!["init", "--etcd", here, "--network", "10.0.0.0/31"],
            "too small",
        ),
        (
            vec!["init", "--etcd", here, "--network", "10.0.0.0/33"],
            "10.0.0.0/33",
        ),
        (vec!["remove", "one", "--etcd", here], "--fenced"),
        (
            vec!["remove", "no name", "--etcd", here, "--fenced"],
            "no name",
        ),
        (run(&["--etcd", "https://127.0.0.1:1"]), "--etcd-cafile"),
        (
            run(&["--etcd", here, "--iface-regex", "("]),
            "--iface-regex",
        ),
        (
            run(&["--etcd", here, "--conf-name", "a/b"]),
            "--conf-dir is the directory",
        ),
        (
            run(&["--etcd", here, "--name", "no name"]),
            "--name gives another",
        ),
        (
            run(&["--kubeconfig", "/nonexistent"]),
            "cannot read /nonexistent",
        ),
    ];
    for (words, told) in &wrong {
        let words: Vec<&str> = words
            .iter()
            .map(|it| if *it == "RUN" { &run_dir } else { *it })
            .collect();
        let output = node(&words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(told), "{words:?}: {said}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
    assert!(!dir.path().join("run").exists(), "nothing is made");
}

#[test]
fn what_fails_ends_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().to_str().unwrap();
    let no_daemon = node(&["status", "--run-dir", run_dir]);
    assert_eq!(no_daemon.status.code(), Some(1), "{no_daemon:?}");
    // Nobody listens on port 1.
    let network = ["--network", "10.0.0.0/16"];
    let silent = node(&[&["init", "--etcd", "http://127.0.0.1:1"], &network[..]].concat());
    assert_eq!(silent.status.code(), Some(1), "{silent:?}");
}
