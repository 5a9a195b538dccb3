//! A server of the Kubernetes API, on an etcd of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::{Value, json};

use super::{Etcd, Lab, deadline};

/// Says where a server is, or why there is none.
const VARIABLE: &str = "NETLOOM_KUBE_APISERVER";
const PLACE: &str = "/run/lab/kube";
const URL: &str = "https://192.0.2.254:6443";

/// A certificate for the server, the keys of service accounts' tokens, and who may do all.
const MATERIAL: &str = "set -e; mkdir -p /run/lab/kube; cd /run/lab/kube
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=server 2>/dev/null
    printf 'subjectAltName=IP:127.0.0.1,IP:192.0.2.254\\n' |
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem -extfile /dev/stdin 2>/dev/null
    openssl genrsa -out accounts.key 2048 2>/dev/null
    openssl rsa -in accounts.key -pubout -out accounts.pub 2>/dev/null
    echo 'all,root,1,system:masters' > tokens.csv";

pub(crate) struct ApiServer {
    program: PathBuf,
    child: Option<Child>,
    _etcd: Etcd,
}

impl ApiServer {
    /// Starts it; `None`, and a skip, if there is no such program.
    pub(crate) fn start(lab: &Lab) -> Option<Self> {
        let program = std::env::var_os(VARIABLE).map(PathBuf::from);
        let Some(program) = program.filter(|program| program.is_file()) else {
            let why = std::env::var(VARIABLE).unwrap_or_default();
            netloom_testkit::skip(&format!(
                "no server of the Kubernetes API, which `cargo xtask test --kube` builds ({why})"
            ));
            return None;
        };
        lab.host.sh(MATERIAL);
        let mut etcd = Etcd::member(1, 1);
        etcd.begin();
        let mut server = Self {
            program,
            child: None,
            _etcd: etcd,
        };
        server.begin();
        for file in ["crds.yaml", "node.yaml"] {
            server.apply(file);
        }
        Some(server)
    }

    /// Starts it, and waits until it serves.
    pub(crate) fn begin(&mut self) {
        let mut command = Command::new(&self.program);
        command
            .args([
                "--etcd-servers=http://127.0.0.1:2389",
                "--tls-cert-file=/run/lab/kube/server.pem",
                "--tls-private-key-file=/run/lab/kube/server.key",
                "--token-auth-file=/run/lab/kube/tokens.csv",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-account-signing-key-file=/run/lab/kube/accounts.key",
                "--service-account-key-file=/run/lab/kube/accounts.pub",
                "--service-cluster-ip-range=10.96.0.0/16",
                // Off in the release that can be built, on in every later one.
                "--feature-gates=IPv6DualStack=true",
                "--advertise-address=192.0.2.254",
                "--cert-dir=/run/lab/kube/certs",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        self.child = Some(child);
        let mut last = String::new();
        // Its last step after a start, whether the store is new or not.
        while self.call("GET", "/readyz", None).0 != 200 {
            let left = deadline().saturating_duration_since(std::time::Instant::now());
            match told.recv_timeout(left.min(std::time::Duration::from_secs(1))) {
                Ok(line) => last = line,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    panic!("kube-apiserver has ended: {last}")
                }
            }
        }
        std::thread::spawn(move || told.iter().for_each(drop));
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Makes a call as who may do all, by curl: another client than the daemon's.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let kind = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let mut child = Command::new("curl")
            .args([
                "--silent",
                "--cacert",
                "/run/lab/kube/ca.pem",
                "--request",
                method,
            ])
            .args(["--header", "Authorization: Bearer all"])
            .args(["--header", &format!("Content-Type: {kind}")])
            .args(["--data-binary", "@-", "--write-out", "\n%{http_code}"])
            .arg(format!("{URL}{path}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let text = body.map(Value::to_string).unwrap_or_default();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        let (body, status) = answer.rsplit_once('\n').unwrap();
        (
            status.parse().unwrap(),
            serde_json::from_str(body).unwrap_or_default(),
        )
    }

    /// The same; panics unless it was done.
    pub(crate) fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    /// Applies a file as it is shipped.
    fn apply(&self, file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../packaging/kubernetes")
            .join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        for object in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            let path = place(&object);
            // A kind that was made a moment ago is served a moment later.
            let status = self.call("POST", &path, Some(&object));
            assert!(status.0 == 201, "{file}: {path}: {status:?}");
        }
    }

    /// A node, as a kubelet and the controller of CIDRs leave it.
    pub(crate) fn node(&self, name: &str, cidrs: &[&str]) {
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs},
        });
        self.done("POST", "/api/v1/nodes", Some(&node));
    }

    /// A file that names the server and the daemon's own account, in a machine's own folder.
    pub(crate) fn kubeconfig(&self, machine: &super::Machine) -> String {
        let account = "/api/v1/namespaces/netloom/serviceaccounts/netloom-node/token";
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": 3600},
        });
        let token = self.done("POST", account, Some(&request));
        self.write_kubeconfig(&machine.name, &token["status"]["token"])
    }

    /// The same for who may do all.
    pub(crate) fn kubeconfig_of_root(&self, machine: &super::Machine) -> String {
        self.write_kubeconfig(&format!("{}-root", machine.name), &json!("all"))
    }

    #[expect(clippy::unused_self, reason = "its place is the server's")]
    fn write_kubeconfig(&self, name: &str, token: &Value) -> String {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {
                "server": URL, "certificate-authority": "/run/lab/kube/ca.pem",
            }}],
            "users": [{"name": "node", "user": {"token": token}}],
            "contexts": [{"name": "lab", "context": {
                "cluster": "lab", "user": "node", "namespace": "netloom",
            }}],
        });
        let file = format!("{PLACE}/{name}.json");
        std::fs::write(&file, config.to_string()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where objects of a kind are made.
fn place(object: &Value) -> String {
    let group = object["apiVersion"].as_str().unwrap();
    let root = match group {
        "v1" => "/api/v1".to_owned(),
        group => format!("/apis/{group}"),
    };
    let namespace = object["metadata"]["namespace"].as_str();
    let namespace = namespace.map_or(String::new(), |name| format!("/namespaces/{name}"));
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    format!("{root}{namespace}/{kind}s")
}
