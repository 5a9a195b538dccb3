//! Plugin binaries, and calls to them as a runtime makes them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

use crate::call::Call;
use crate::pod::Pod;
use crate::product;
use crate::skip;

/// Where Debian's package `containernetworking-plugins` puts the Go binaries.
pub const DEBIAN_DIR: &str = "/usr/lib/cni";

/// Every name that a multi-call binary may be called by, as it tells itself.
fn names_in(program: &Path) -> Vec<String> {
    static KNOWN: Mutex<BTreeMap<PathBuf, Vec<String>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let names = known.entry(program.to_owned()).or_insert_with(|| {
        // The command `netloom` is all plugins too, by that name.
        let mut list = Command::new(program);
        list.arg0("netloom-plugins").env_remove("CNI_COMMAND");
        let listed = list.output();
        let listed = listed.unwrap_or_else(|error| panic!("cannot run {program:?}: {error}"));
        let names = String::from_utf8_lossy(&listed.stdout);
        assert!(!names.is_empty(), "{program:?} lists no plugins");
        names.lines().map(str::to_owned).collect()
    });
    names.clone()
}

/// A directory with a link for each plugin name to one multi-call binary; removed when dropped.
pub struct PluginDir(TempDir);

impl PluginDir {
    /// Links every name to `program`: in a test, `env!("CARGO_BIN_EXE_netloom-plugins")`; or to what a
    /// release has in its place, see [`product`](crate::product).
    #[must_use]
    pub fn of(program: impl AsRef<Path>) -> Self {
        let program = &product::plugins(program.as_ref());
        assert!(program.is_file(), "no plugin binary at {program:?}");
        let directory = tempfile::Builder::new()
            .prefix("netloom-plugins-")
            .tempdir()
            .unwrap_or_else(|error| panic!("cannot make a temporary directory: {error}"));
        for name in names_in(program) {
            link(program, &directory.path().join(name));
        }
        Self(directory)
    }

    /// The directory, as for `CNI_PATH`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Links every plugin's name in `directory`, which is made, to a copy of `program`, as former releases
/// did: twenty copies of a program built for tests would take 800 MB of a host's `/run`. What `netloom
/// install` does is tested in `netloom: command/install.rs`. Of a release they are the release's.
pub fn link_plugins(program: impl AsRef<Path>, directory: impl AsRef<Path>) {
    const BINARY: &str = "netloom-plugins";
    let (program, directory) = (product::plugins(program.as_ref()), directory.as_ref());
    std::fs::create_dir_all(directory)
        .unwrap_or_else(|error| panic!("cannot make {directory:?}: {error}"));
    // Not the program itself, over which a test that writes a plugin would write.
    let copy = directory.join(BINARY);
    std::fs::copy(&program, &copy).unwrap_or_else(|error| panic!("cannot make {copy:?}: {error}"));
    for name in names_in(&program) {
        link(Path::new(BINARY), &directory.join(name));
    }
}

fn link(to: &Path, name: &Path) {
    std::os::unix::fs::symlink(to, name)
        .unwrap_or_else(|error| panic!("cannot link {name:?}: {error}"));
}

/// One plugin binary and the `CNI_PATH` in which it finds its delegates.
#[derive(Clone, Debug)]
pub struct Plugin {
    program: PathBuf,
    cni_path: OsString,
}

impl Plugin {
    /// netloom's own plugin of this name.
    #[must_use]
    pub fn ours(directory: &PluginDir, name: &str) -> Self {
        Self::at(directory.path(), name)
    }

    /// The Go plugin of this name from Debian's package, or `None` after a [`skip`].
    #[must_use]
    pub fn debian(name: &str) -> Option<Self> {
        let plugin = Self::at(Path::new(DEBIAN_DIR), name);
        if plugin.program.is_file() {
            return Some(plugin);
        }
        skip(&format!(
            "no {}: install Debian's package containernetworking-plugins",
            plugin.program.display()
        ));
        None
    }

    /// A plugin in any directory, which is also its `CNI_PATH`.
    #[must_use]
    pub fn at(directory: &Path, name: &str) -> Self {
        Self {
            program: directory.join(name),
            cni_path: directory.into(),
        }
    }

    /// The binary's path.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A call with `CNI_COMMAND` and `CNI_PATH` set and this configuration on stdin; what else
    /// the command needs is added by [`Call::pod`] and [`Call::env`].
    #[must_use]
    pub fn call(&self, command: &str, conf: &Value) -> Call {
        Call::new(&self.program)
            .env("CNI_COMMAND", command)
            .env("CNI_PATH", &self.cni_path)
            .stdin(conf.to_string())
    }
}

/// What a runtime does, one method per command. The interface is `eth0`.
impl Plugin {
    /// Calls ADD.
    #[must_use]
    pub fn add(&self, conf: &Value, pod: &Pod) -> crate::Outcome {
        self.call("ADD", conf).pod(pod).run()
    }

    /// Calls CHECK with the result that ADD gave.
    #[must_use]
    pub fn check(&self, conf: &Value, prev_result: &Value, pod: &Pod) -> crate::Outcome {
        self.call("CHECK", &with_prev_result(conf, prev_result))
            .pod(pod)
            .run()
    }

    /// Calls DEL without a `prevResult`.
    #[must_use]
    pub fn del(&self, conf: &Value, pod: &Pod) -> crate::Outcome {
        self.call("DEL", conf).pod(pod).run()
    }

    /// Calls DEL as libcni does, with the result that ADD gave.
    #[must_use]
    pub fn del_with(&self, conf: &Value, prev_result: &Value, pod: &Pod) -> crate::Outcome {
        self.call("DEL", &with_prev_result(conf, prev_result))
            .pod(pod)
            .run()
    }

    /// Calls GC with the attachments that are still wanted: pairs of container id and interface.
    #[must_use]
    pub fn gc(&self, conf: &Value, valid: &[(&str, &str)]) -> crate::Outcome {
        let mut conf = conf.clone();
        conf["cni.dev/valid-attachments"] = valid
            .iter()
            .map(|(id, ifname)| serde_json::json!({"containerID": id, "ifname": ifname}))
            .collect();
        self.call("GC", &conf).run()
    }

    /// Calls STATUS.
    #[must_use]
    pub fn status(&self, conf: &Value) -> crate::Outcome {
        self.call("STATUS", conf).run()
    }

    /// Calls VERSION.
    #[must_use]
    pub fn version(&self) -> crate::Outcome {
        self.call("VERSION", &serde_json::json!({"cniVersion": "1.1.0"}))
            .run()
    }
}

fn with_prev_result(conf: &Value, prev_result: &Value) -> Value {
    let mut conf = conf.clone();
    conf["prevResult"] = prev_result.clone();
    conf
}
