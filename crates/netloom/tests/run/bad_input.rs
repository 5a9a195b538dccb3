//! What is wrong is said in one line that names it, with status 125, and changes nothing.

use crate::{call, host, picture};

#[test]
fn bad_input_is_named_and_leaves_nothing() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let cases: &[(&[&str], &str)] = &[
        (&["--net", "nosuch", "true"], "nosuch"),
        (&["--net", "", "true"], "--net"),
        (&["--net", "mynet:ip=10.16.0", "true"], "10.16.0"),
        (&["--net", "mynet:mac=xx", "true"], "xx"),
        (
            &["--net", "mynet:if=toolonganinterfacename", "true"],
            "toolonganinterfacename",
        ),
        (&["--net", "mynet:word", "true"], "word"),
        (&["--net", "mynet", "--net", "host", "true"], "host"),
        (&["--net", "none", "--net", "mynet", "true"], "none"),
        (&["--net", "ns:/no/such", "true"], "/no/such"),
        (&["--net", "ns:/etc/passwd", "true"], "/etc/passwd"),
        (&["--net", "pod:nosuch", "true"], "nosuch"),
        (&["--net", "mynet:if=a,two:if=a", "true"], "\"a\""),
        (&["--net", "two", "-p", "8080:80", "true"], "portmap"),
        (&["--net", "mynet", "-p", "8080", "true"], "8080"),
        (&["--net", "mynet", "-p", "0:80", "true"], "0:80"),
        (
            &["--net", "mynet", "-p", "203.0.113.9:8080:80", "true"],
            "203.0.113.9",
        ),
        (
            &["--net", "mynet", "--bandwidth", "10M", "true"],
            "bandwidth",
        ),
        (&["--net", "mynet", "--bandwidth", "fast", "true"], "fast"),
        (
            &["--net", "mynet", "--annotation", "x", "true"],
            "KEY=VALUE",
        ),
        (&["--rootfs", "/no/such", "true"], "/no/such"),
        (&["--rootfs", "/etc/passwd", "true"], "/etc/passwd"),
        (&["-v", "/no/such:/x", "true"], "/no/such"),
        (&["-v", "/etc:x", "true"], "\"x\""),
        (&["--name", "../x", "true"], "../x"),
        (&["--hostname", "a b", "true"], "a b"),
        (&["--add-host", "db", "true"], "db"),
        (&["-e", "=x", "true"], "=x"),
        (&["-w", "tmp", "true"], "tmp"),
        (&["-w", "/no/such", "true"], "/no/such"),
        (&["--dns-search", "a b", "true"], "\"a b\""),
        (
            &["--dns-option", "x\nnameserver 192.0.2.1", "true"],
            "one word",
        ),
        (
            &["--net", "mynet", "-p", "80:80", "-p", "80:81", "true"],
            "80/tcp",
        ),
        (&["--net", "ns:/run", "true"], "is no network namespace"),
        (&["-v", "/etc/passwd:/etc", "true"], "has a directory there"),
        (&["-v", "/etc:/etc/passwd", "true"], "has a file there"),
        (
            &["--image", "docker-archive:/etc/passwd", "true"],
            "it is no tar",
        ),
        (&["--image", "oci:/etc", "true"], "/etc/index.json"),
        (&["--ntework", "mynet", "true"], "is no option"),
        (&["--runtime", "/no/such", "true"], "/no/such"),
        (&["--runtime", "runc", "--cpus", "0", "true"], "--cpus"),
        (&["--runtime", "runc", "--init", "true"], "--init"),
        (&["--cap-add", "root", "true"], "root"),
        (&["--memory", "1G", "true"], "--memory"),
        (
            &["-u", "nobodyatall", "--net", "mynet", "true"],
            "nobodyatall",
        ),
    ];
    for (arguments, part) in cases {
        let outcome = call(&[&["run"], *arguments].concat());
        assert_eq!(outcome.code(), Some(125), "{outcome}");
        let words: Vec<_> = outcome
            .stderr
            .lines()
            .filter(|line| !line.contains("the pod has no network"))
            .collect();
        assert_eq!(words.len(), 1, "one line is expected\n{outcome}");
        assert!(words[0].contains(part), "no {part:?}\n{outcome}");
        assert_eq!(outcome.stdout, "", "{outcome}");
        picture(&host).assert_same_as(&before);
    }
}

#[test]
fn words_that_are_no_command_line_have_the_status_of_a_pod_that_was_not_made() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    for arguments in [
        &["run", "--dns", "nope", "true"][..],
        &["run", "--rootfs", "", "true"],
        &["run", "-d", "-t", "true"],
        &["--conf-dir", "/etc", "run", "--rw", "true"],
        &["exec", "-e"],
        &["docker-run"],
    ] {
        let outcome = call(arguments);
        assert_eq!(outcome.code(), Some(125), "{outcome}");
        assert!(outcome.stderr.starts_with("error: "), "{outcome}");
    }
    assert_eq!(call(&["ps", "--no-such"]).code(), Some(2));
    assert_eq!(call(&["run", "--help"]).code(), Some(0));
    picture(&host).assert_same_as(&before);
}

#[test]
fn verbs_about_a_pod_that_is_not_there_say_so() {
    let Some(_host) = host() else { return };
    for verb in [
        &["exec", "nosuch", "true"][..],
        &["logs", "nosuch"],
        &["stop", "nosuch"],
        &["rm", "nosuch"],
        &["inspect", "nosuch"],
        &["wait", "nosuch"],
        &["net", "connect", "nosuch", "mynet"],
        &["net", "disconnect", "nosuch", "mynet"],
    ] {
        let outcome = call(verb);
        assert_eq!(outcome.code(), Some(125), "{outcome}");
        assert!(outcome.stderr.contains("\"nosuch\""), "{outcome}");
    }
}
