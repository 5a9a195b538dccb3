//! Ends in containers, whose engines are asked over their sockets.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use netloom_testkit::Pod;

use crate::{fails, host, netloom, succeeds};

/// A process in a pod, which ends with this.
struct Process(Child);

impl Process {
    fn of(pod: &Pod) -> Self {
        Self(pod.run(|| Command::new("cat").stdin(Stdio::piped()).spawn().unwrap()))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers as an engine does, for as long as anybody asks.
fn engine(socket: &str, answers: impl Fn(&str) -> String + Send + 'static) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                request.push(byte[0]);
            }
            let request = String::from_utf8(request).unwrap();
            let _ = stream.write_all(answers(&request).as_bytes());
        }
    });
}

#[test]
fn containers_of_docker_and_podman_are_found_by_name() {
    let Some((_host, pods)) = host(["blue", "red"]) else {
        return;
    };
    let process = Process::of(&pods[0]);
    let pid = process.pid();
    let answers = move |request: &str| match request.split(' ').nth(1).unwrap() {
        "/v1.41/containers/web/json" => {
            format!("HTTP/1.0 200 OK\r\n\r\n{{\"State\": {{\"Pid\": {pid}}}}}")
        }
        "/v1.41/containers/old/json" => "HTTP/1.0 200 OK\r\n\r\n{\"State\": {\"Pid\": 0}}".into(),
        _ => "HTTP/1.0 404 Not Found\r\n\r\n{\"message\": \"no such container\"}".to_owned(),
    };
    engine("/run/docker.sock", answers);
    fs::create_dir_all("/run/podman").unwrap();
    engine("/run/podman/podman.sock", answers);
    for engine in ["docker", "podman"] {
        succeeds(&format!(
            "link add {engine}:web/in1,10.0.0.1/24 ns:red/in2,10.0.0.2/24"
        ));
        assert!(pods[0].pings([10, 0, 0, 2]));
        succeeds(&format!("link del {engine}:web/in1"));
        fails(
            &format!("link add {engine}:gone/in1 ns:red/in2"),
            "has no container gone",
        );
        fails(
            &format!("link add {engine}:old/in1 ns:red/in2"),
            "does not run",
        );
        fails(
            &format!("link add {engine}:$(reboot)/in1 ns:red/in2"),
            "is no name",
        );
    }
    let other = netloom("link add docker:web/in1 ns:red/in2").env("DOCKER_HOST", "tcp://1.2.3.4:1");
    assert!(
        other
            .run()
            .stderr
            .contains("only unix:///PATH is understood")
    );
}

#[test]
fn containers_of_containerd_and_crio_are_found_by_their_files() {
    let Some((_host, pods)) = host(["blue", "red"]) else {
        return;
    };
    let process = Process::of(&pods[0]);
    let tasks = "/run/containerd/io.containerd.runtime.v2.task";
    for (folder, config) in [
        ("default/abc", "{}"),
        (
            "k8s.io/sandbox",
            r#"{"annotations": {"io.kubernetes.cri.container-type": "sandbox",
                "io.kubernetes.cri.sandbox-name": "r1",
                "io.kubernetes.cri.sandbox-namespace": "lab"}}"#,
        ),
    ] {
        let folder = format!("{tasks}/{folder}");
        fs::create_dir_all(&folder).unwrap();
        fs::write(format!("{folder}/init.pid"), process.pid().to_string()).unwrap();
        fs::write(format!("{folder}/config.json"), config).unwrap();
    }
    let crio = "/run/containers/storage/overlay-containers/def/userdata";
    fs::create_dir_all(crio).unwrap();
    fs::write(format!("{crio}/pidfile"), format!("{}\n", process.pid())).unwrap();
    for place in ["containerd:default/abc", "cri:lab/r1", "crio:def"] {
        succeeds(&format!(
            "link add {place}/in1,10.0.0.1/24 ns:red/in2,10.0.0.2/24"
        ));
        assert!(pods[0].pings([10, 0, 0, 2]), "{place}");
        succeeds(&format!("link del {place}/in1"));
    }
    fails(
        "link add cri:lab/r2/in1 ns:red/in2",
        "containerd runs no pod r2 of the namespace lab",
    );
    fails("link add crio:xyz/in1 ns:red/in2", "no such container runs");
}
