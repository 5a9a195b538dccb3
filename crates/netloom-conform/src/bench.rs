//! What a case works with: a host, its pods, calls of the plugin, and looks at what there is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use netloom_kernel::netns::{self, Netns};
use netloom_observe::processes::{self, Process};
use netloom_observe::{Change, Difference, Kind, Place, Snapshot};
use netloom_spec::{AddResult, Version};
use serde_json::{Value, json};

use crate::call::{self, Request, Said};
use crate::host::{self, Host};
use crate::report::Exchange;
use crate::shell;
use crate::stop::{Check, Stop, skip, wrong};
use crate::stub;
use crate::subject::Subject;

/// What scripts need; runtimes give it to their plugins too.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One pod.
pub(crate) struct Pod {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    pub(crate) netns: Netns,
    /// What the plugins before a chained one made.
    pub(crate) before: Option<AddResult>,
}

/// What ADD made.
pub(crate) struct Attached {
    pub(crate) pod: usize,
    pub(crate) ifname: String,
    /// As it was printed.
    pub(crate) document: Value,
    pub(crate) result: AddResult,
}

/// The workbench of one case.
pub(crate) struct Bench<'s> {
    pub(crate) subject: &'s Subject,
    pub(crate) host: Host,
    pub(crate) pods: Vec<Pod>,
    /// The version that configurations have.
    pub(crate) version: Version,
    pub(crate) calls: Vec<Exchange>,
    /// What was done, as steps of a shell.
    pub(crate) steps: Vec<String>,
    lingering: Vec<Process>,
}

impl<'s> Bench<'s> {
    pub(crate) fn new(subject: &'s Subject) -> Check<Self> {
        processes::adopt()?;
        let host = host::enter(subject)?;
        let mut bench = Self {
            subject,
            host,
            pods: Vec::new(),
            version: subject.version(),
            calls: Vec::new(),
            steps: Vec::new(),
            lingering: Vec::new(),
        };
        bench.tell_host();
        if subject.conf.to_string().contains(stub::IPAM.0) {
            bench.put(stub::IPAM)?;
        }
        Ok(bench)
    }

    /// The host, as a shell makes it.
    fn tell_host(&mut self) {
        self.step("mount -t tmpfs t /run; mkdir -p /run/netns /run/conform/bin");
        self.step("mount -t tmpfs t /var/lib; ip link set lo up");
        for name in host::lower_links(self.subject) {
            self.step(format!(
                "ip link add {name} up type veth peer {name}-p; ip link set {name}-p up"
            ));
        }
        for (path, text) in self.subject.files.clone() {
            self.tell_file(&path, &text);
        }
        self.steps.extend(self.subject.setup.clone());
    }

    pub(crate) fn tell_file(&mut self, path: &str, text: &str) {
        let parent = Path::new(path).parent().unwrap_or(Path::new("/"));
        let (parent, path) = (shell::word(&parent.to_string_lossy()), shell::word(path));
        let text = shell::in_one_line(text);
        self.step(format!("mkdir -p {parent}; printf %b {text} >{path}"));
    }

    /// Puts a stub where the plugin finds delegates.
    pub(crate) fn put(&mut self, stub: stub::Stub) -> Check {
        self.put_into(stub, &format!("{}/bin", host::OWN))
    }

    /// Puts a stub into any directory.
    pub(crate) fn put_into(&mut self, (name, script): stub::Stub, dir: &str) -> Check {
        let path = format!("{dir}/{name}");
        let leases = format!("{}/ipam", host::OWN);
        std::fs::create_dir_all(dir)?;
        std::fs::create_dir_all(&leases)?;
        std::fs::write(&path, script)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        self.tell_file(&path, script);
        self.step(format!("chmod +x {path}; mkdir -p {leases}"));
        Ok(())
    }

    pub(crate) fn step(&mut self, line: impl Into<String>) {
        self.steps.push(line.into());
    }

    /// Adds a pod, with the interface that other plugins made where the plugin is chained.
    pub(crate) fn pod(&mut self, name: &str) -> Check<usize> {
        let number = self.pods.len() + 1;
        let path = Path::new("/run/netns").join(name);
        let netns = netns::create_at(&path)?;
        self.step(format!("ip netns add {name}"));
        let mut pod = Pod {
            id: format!("conform-{name}"),
            path,
            netns,
            before: None,
        };
        if self.subject.class == crate::Class::Chained {
            let (result, line) = stub::interface(&pod.netns, &pod.path, number)?;
            pod.before = Some(result);
            self.step(line);
        }
        self.pods.push(pod);
        Ok(number - 1)
    }

    /// A call as a runtime makes it, of version 1.1.0 if the plugin speaks that.
    pub(crate) fn request(&self, command: &str, pod: usize) -> Request {
        let mut conf = self.subject.conf(self.version);
        let pod = &self.pods[pod];
        if let Some(before) = pod
            .before
            .as_ref()
            .and_then(|it| it.to_json(self.version).ok())
        {
            conf["prevResult"] = serde_json::from_str(&before).unwrap_or_default();
        }
        let env = [
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", &pod.id),
            ("CNI_NETNS", &pod.path.to_string_lossy()),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", &self.cni_path()),
            ("PATH", PATH),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Request {
            env: env.to_vec(),
            stdin: conf.to_string(),
            mode: call::CallMode::default(),
        }
    }

    /// A call that is about the network and no pod.
    pub(crate) fn network_request(&self, command: &str) -> Request {
        Request {
            env: [
                ("CNI_COMMAND", command),
                ("CNI_PATH", &self.cni_path()),
                ("PATH", PATH),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            stdin: self.subject.conf(self.version).to_string(),
            mode: call::CallMode::default(),
        }
    }

    fn cni_path(&self) -> String {
        let own = PathBuf::from(host::OWN).join("bin");
        let dirs = [own].into_iter().chain(self.host.path.iter().cloned());
        let dirs: Vec<String> = dirs.map(|dir| dir.display().to_string()).collect();
        dirs.join(":")
    }

    /// Calls the plugin.
    pub(crate) fn call(&mut self, request: &Request) -> Check<Said> {
        let line = request.line(&self.host.plugin);
        let said = call::run(&self.host.plugin, request).map_err(|error| {
            Stop::Broken(format!("run {}: {error}", self.host.plugin.display()))
        })?;
        self.step(line.clone());
        self.calls.push(Exchange {
            line,
            env: request
                .env
                .iter()
                .filter(|(name, _)| name.starts_with("CNI_"))
                .cloned()
                .collect(),
            stdin: request.stdin.clone(),
            ending: said.ending(),
            stdout: said.stdout.clone(),
            stderr: said.stderr.clone(),
            time: said.time,
        });
        Ok(said)
    }

    /// Nothing more is to be asked where ADD cannot work, or does not.
    pub(crate) fn needs_add(&self) -> Check {
        self.may_add()?;
        match &self.subject.broken {
            Some(words) => skip(words.clone()),
            None => Ok(()),
        }
    }

    /// Nothing is to be asked where ADD cannot work, whatever the plugin does.
    pub(crate) fn may_add(&self) -> Check {
        match &self.subject.lacks {
            Some(why) => skip(why.clone()),
            None => Ok(()),
        }
    }

    pub(crate) fn needs_version(&self, version: Version) -> Check {
        match self.subject.speaks(version) {
            true => Ok(()),
            false => skip(format!("the plugin does not speak {version}")),
        }
    }

    pub(crate) fn needs_several(&self) -> Check {
        match self.subject.is_single {
            true => skip("there can be one attachment at a time"),
            false => self.needs_add(),
        }
    }

    /// ADD, which has to succeed.
    pub(crate) fn add(&mut self, pod: usize) -> Check<Attached> {
        let request = self.request("ADD", pod);
        self.add_by(pod, &request)
    }

    pub(crate) fn add_by(&mut self, pod: usize, request: &Request) -> Check<Attached> {
        let said = self.call(request)?;
        let (document, result) = self.result(&said)?;
        Ok(Attached {
            pod,
            ifname: request.variable("CNI_IFNAME").to_owned(),
            document,
            result,
        })
    }

    /// The result that ADD printed.
    pub(crate) fn result(&self, said: &Said) -> Check<(Value, AddResult)> {
        if !said.is_success() {
            return wrong(format!(
                "expected ADD to succeed, got {}: {}",
                said.ending(),
                brief(&said.stdout)
            ));
        }
        let document: Value = match serde_json::from_str(&said.stdout) {
            Ok(document) => document,
            Err(error) => {
                return wrong(format!(
                    "expected one JSON document on stdout, got {}: {error}",
                    brief(&said.stdout)
                ));
            }
        };
        match AddResult::parse(said.stdout.as_bytes(), self.version) {
            Ok(result) => Ok((document, result)),
            Err(error) => wrong(format!(
                "the result is not one of {}: {}",
                self.version, error.msg
            )),
        }
    }

    /// A request about an attachment, with its result as libcni hands it on.
    pub(crate) fn after(&self, command: &str, of: &Attached) -> Request {
        let mut request = self.request(command, of.pod).set("CNI_IFNAME", &of.ifname);
        if self.version.allows_check() {
            let mut conf: Value = serde_json::from_str(&request.stdin).unwrap_or_default();
            conf["prevResult"] = of.document.clone();
            // An IPAM plugin's own result is not what it gets: that is the whole plugin's.
            request.stdin = conf.to_string();
        }
        request
    }

    /// DEL, which has to succeed.
    pub(crate) fn del(&mut self, of: &Attached) -> Check<Said> {
        let request = self.after("DEL", of);
        self.succeeds(&request)
    }

    /// A call that has to succeed.
    pub(crate) fn succeeds(&mut self, request: &Request) -> Check<Said> {
        let said = self.call(request)?;
        let command = request.variable("CNI_COMMAND");
        match said.is_success() {
            true => Ok(said),
            false => wrong(format!(
                "expected {command} to succeed, got {}: {}",
                said.ending(),
                brief(&said.stdout)
            )),
        }
    }

    /// A call that has to fail as the specification says: an exit status, and one error object on stdout.
    pub(crate) fn refused(&mut self, request: &Request) -> Check<Value> {
        let said = self.call(request)?;
        refusal(&said)
    }

    /// What there is in the host and its pods.
    pub(crate) fn look(&self) -> Check<Snapshot> {
        let mut places = vec![Place::here("host")];
        for pod in self.pods.iter().filter(|it| it.path.exists()) {
            places.push(Place::of(&pod.id, Netns::open(&pod.path)?));
        }
        Ok(Snapshot::take(&places, &self.host.watched)?)
    }

    /// What is different from then, but for what changes by itself or ends with a pod.
    pub(crate) fn differences(&self, then: &Snapshot) -> Check<Vec<Difference>> {
        let mut found = then.diff(&self.look()?);
        // A made-up device that was lent ends with the namespace that it was lent to.
        let lent = host::lower_links(self.subject);
        let is_lent = |it: &Difference| {
            self.subject.is_single
                && matches!(it.change, Change::Removed(_))
                && lent
                    .iter()
                    .any(|name| it.object.name.split(' ').any(|word| word == name))
        };
        found.retain(|it| matters(it) && !is_lent(it));
        Ok(found)
    }

    /// Nothing may be different from then.
    pub(crate) fn unchanged(&self, then: &Snapshot, when: &str) -> Check {
        let found = self.differences(then)?;
        if found.is_empty() {
            return Ok(());
        }
        let words: Vec<String> = found.iter().take(4).map(ToString::to_string).collect();
        let more = match found.len() {
            0..=4 => String::new(),
            count => format!(" and {} more", count - 4),
        };
        wrong(format!(
            "expected nothing to differ {when}, got: {}{more}",
            words.join("; ")
        ))
    }

    /// One pod comes and goes, so that what all pods share is there. Whether that works, other cases ask.
    pub(crate) fn prime(&mut self) -> Check {
        if self.subject.lacks.is_some() {
            return Ok(());
        }
        let pod = self.pod("primer")?;
        if let Ok(made) = self.add(pod) {
            let _ = self.del(&made);
        }
        Ok(())
    }

    /// Processes that the calls so far left behind, and that do not end by themselves.
    pub(crate) fn left_processes(&mut self) -> Vec<Process> {
        let found = processes::lingering(&self.lingering);
        self.lingering.extend(found.iter().cloned());
        found
    }

    /// Ends what the plugin left.
    pub(crate) fn end(&mut self) {
        self.left_processes();
        processes::end(&self.lingering);
    }

    /// The configuration of a request.
    pub(crate) fn edit(request: Request, change: impl FnOnce(&mut Value)) -> Request {
        let mut conf: Value = serde_json::from_str(&request.stdin).unwrap_or_else(|_| json!({}));
        change(&mut conf);
        request.stdin(conf.to_string())
    }
}

/// The error object of a refusal.
pub(crate) fn refusal(said: &Said) -> Check<Value> {
    if said.status.code().is_none_or(|code| code == 0) {
        return wrong(format!(
            "expected a failure with an exit status, got {}: {}",
            said.ending(),
            brief(&said.stdout)
        ));
    }
    let object: Value = match serde_json::from_str(&said.stdout) {
        Ok(object) => object,
        Err(error) => {
            return wrong(format!(
                "expected one error object on stdout, got {}: {error}",
                brief(&said.stdout)
            ));
        }
    };
    let has_code = object["code"].is_u64();
    let has_msg = object["msg"].as_str().is_some_and(|msg| !msg.is_empty());
    match has_code && has_msg {
        true => Ok(object),
        false => wrong(format!(
            "expected an error object with a code and a msg, got {}",
            brief(&said.stdout)
        )),
    }
}

/// What is the kit's own, changes by itself, or ends with its pod.
fn matters(it: &Difference) -> bool {
    let object = &it.object;
    match object.kind {
        Kind::File => {
            let is_own = ["/run/netns", host::OWN]
                .iter()
                .any(|dir| object.name.starts_with(dir));
            // A name with a dot in front is the plugin's own memory, not an attachment's state.
            let is_memory = object.name.contains("/.");
            !is_own && !is_memory && !matches!(it.change, Change::Changed(..))
        }
        // Settings of a link end with it, and the kit's cables end with their pods.
        Kind::Sysctl => object.place == "host" && !object.name.contains(stub::CABLE_IN_SYSCTL),
        // The kernel gives lo its addresses.
        Kind::Address => !object.name.ends_with(" on lo"),
        _ => true,
    }
}

/// The beginning of a text, in one line.
pub(crate) fn brief(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.is_empty() => "nothing".to_owned(),
        None => line,
    }
}
