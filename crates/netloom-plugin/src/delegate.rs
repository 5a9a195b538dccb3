//! Calling another plugin to do a part of the work (CNI spec 1.1.0, section 4).

use crate::dispatch::{self, Invocation, Linkage};
use crate::stamp::Stamp;
use crate::undo::append_detail;
use crate::{Context, Plugin, Undo, find};
use netloom_invoke::{Command, Env, ProcessExec, find_in_path};
use netloom_spec::{AddResult, Attachment, Error, PluginConf, code};
use std::borrow::Cow;
use std::fs::metadata;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Another plugin, called with this call's environment and the complete request.
///
/// It is the file of that name in `CNI_PATH`. When that file is this very program (an installed file:
/// the same build, installed as that plugin; else the same device and inode) and the name one of its
/// plugins, it is called in process: what it reads and prints is the same, only `execve` is saved. What a delegate in a process of its own writes to stderr goes to the
/// stderr of this process as it comes.
#[derive(Clone, Debug)]
pub struct Delegate<'a> {
    context: &'a Context<'a>,
    kind: String,
    conf: Cow<'a, PluginConf>,
}

enum Found {
    Linked(&'static dyn Plugin),
    Installed(PathBuf),
}

impl<'a> Delegate<'a> {
    pub(crate) fn new(context: &'a Context<'a>, kind: &str) -> Self {
        Self {
            context,
            kind: kind.to_owned(),
            conf: Cow::Borrowed(context.conf),
        }
    }

    /// The same delegate, called with another configuration than this plugin's own. It must keep
    /// the network's name and version.
    #[must_use]
    pub fn with_conf(self, conf: PluginConf) -> Self {
        Self {
            conf: Cow::Owned(conf),
            ..self
        }
    }

    /// The delegate's `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether there is such a plugin, for a caller that has something to do before it calls it.
    ///
    /// # Errors
    /// The delegate is not there, or its name is none.
    pub fn look_up(&self) -> Result<(), Error> {
        self.find().map(drop)
    }

    /// Whether it is in another program than this one.
    ///
    /// # Errors
    /// As for [`Delegate::look_up`].
    pub fn is_foreign(&self) -> Result<bool, Error> {
        Ok(matches!(self.find()?, Found::Installed(_)))
    }

    /// Whether it may have to use the pod's link to give its addresses back, and so must be called
    /// before the link goes. What is no plugin of this program may.
    #[must_use]
    pub fn speaks_through_link(&self) -> bool {
        find(self.context.registry, &self.kind).is_none_or(Plugin::speaks_through_link)
    }

    /// Whether it is a plugin of this program whose addresses come over the pod's link.
    #[must_use]
    pub fn asks_the_link(&self) -> bool {
        find(self.context.registry, &self.kind).is_some_and(Plugin::speaks_through_link)
    }

    /// ADD. After success its DEL is registered with `undo`; after a failure its DEL has been run
    /// already, because a failed delegate may have left something behind.
    ///
    /// # Errors
    /// The delegate is not there, could not be executed, failed (its own error, untouched) or
    /// answered something that is no result of the configuration's version.
    pub fn add(&self, undo: &mut Undo<'a>) -> Result<AddResult, Error> {
        let found = self.find()?;
        match self.call_add(&found) {
            Ok(result) => {
                let delegate = self.clone();
                undo.on_failure(format!("DEL of the delegate {}", self.kind), move || {
                    delegate.del()
                });
                Ok(result)
            }
            Err(mut error) => {
                if let Err(failure) = self.call(&found, Command::Del) {
                    let clause = format!(
                        "clean-up failed: DEL of the delegate {}: {failure}",
                        self.kind
                    );
                    append_detail(&mut error, &clause);
                }
                Err(error)
            }
        }
    }

    /// CHECK.
    ///
    /// # Errors
    /// As for [`Delegate::add`].
    pub fn check(&self) -> Result<(), Error> {
        self.call(&self.find()?, Command::Check)
    }

    /// DEL.
    ///
    /// # Errors
    /// As for [`Delegate::add`].
    pub fn del(&self) -> Result<(), Error> {
        self.call(&self.find()?, Command::Del)
    }

    /// DEL of another attachment than the request's, as for GC: of one whose namespace and result
    /// nobody knows any more.
    ///
    /// # Errors
    /// As for [`Delegate::add`].
    pub fn del_of(&self, attachment: &Attachment) -> Result<(), Error> {
        let env = self
            .env(Command::Del)
            .with("CNI_CONTAINERID", &attachment.container_id)
            .with("CNI_IFNAME", &attachment.if_name)
            .with("CNI_NETNS", "");
        self.call_with(&self.find()?, &env)
    }

    /// GC.
    ///
    /// # Errors
    /// As for [`Delegate::add`].
    pub fn gc(&self) -> Result<(), Error> {
        self.call(&self.find()?, Command::Gc)
    }

    /// STATUS.
    ///
    /// # Errors
    /// As for [`Delegate::add`].
    pub fn status(&self) -> Result<(), Error> {
        self.call(&self.find()?, Command::Status)
    }

    fn find(&self) -> Result<Found, Error> {
        let linked = find(self.context.registry, &self.kind);
        if let (Some(plugin), Linkage::Preferred) = (linked, self.context.origin.linkage) {
            return Ok(Found::Linked(plugin));
        }
        let path = find_in_path(&self.kind, &self.context.path)?;
        Ok(match linked {
            Some(plugin) if is_this_program(&path, &self.kind) => Found::Linked(plugin),
            _ => Found::Installed(path),
        })
    }

    fn env(&self, command: Command) -> Env {
        self.context
            .env
            .clone()
            .with("CNI_COMMAND", command.as_str())
    }

    fn call_add(&self, found: &Found) -> Result<AddResult, Error> {
        let env = self.env(Command::Add);
        match found {
            Found::Linked(plugin) => {
                AddResult::parse(&self.call_linked(*plugin, &env)?, self.context.version)
            }
            Found::Installed(path) => Ok(netloom_invoke::add(
                &ProcessExec::default(),
                path,
                &self.conf,
                &env,
            )?),
        }
    }

    fn call(&self, found: &Found, command: Command) -> Result<(), Error> {
        self.call_with(found, &self.env(command))
    }

    fn call_with(&self, found: &Found, env: &Env) -> Result<(), Error> {
        match found {
            Found::Linked(plugin) => self.call_linked(*plugin, env).map(drop),
            Found::Installed(path) => Ok(netloom_invoke::run(
                &ProcessExec::default(),
                path,
                &self.conf,
                env,
            )?),
        }
    }

    /// Calls a plugin of this program; returns its stdout, or the error object printed there.
    fn call_linked(&self, plugin: &dyn Plugin, env: &Env) -> Result<Vec<u8>, Error> {
        let (mut stdout, mut stderr) = (Vec::new(), Log(self.context.log));
        let stdin = match &self.conf {
            Cow::Borrowed(_) => Cow::Borrowed(self.context.stdin),
            Cow::Owned(conf) => Cow::Owned(conf.to_bytes()),
        };
        let invocation = Invocation {
            plugin,
            registry: self.context.registry,
            env,
            stdin: &mut &*stdin,
            stdout: &mut stdout,
            stderr: &mut stderr,
        };
        let status = dispatch::run_with(self.context.origin, invocation);
        if status == 0 {
            return Ok(stdout);
        }
        Err(Error::parse(&stdout).unwrap_or_else(|cause| {
            let msg = format!(
                "plugin {} failed without an error object: {cause}",
                self.kind
            );
            Error::new(code::INTERNAL, msg)
        }))
    }
}

/// Whether a path leads to this program under the name of that plugin. Installed names are files of
/// their own, and tell by their stamps; any other program is known by its one file.
fn is_this_program(path: &Path, name: &str) -> bool {
    let own = Stamp::own();
    if let Some(offset) = own.offset() {
        let found = Stamp::read_at(path, offset).ok().flatten();
        return found.is_some_and(|found| own.is_build_of(&found, name));
    }
    let identity = |path: &Path| metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let own = identity(Path::new("/proc/self/exe"));
    own.is_some() && own == identity(path)
}

/// This call's stderr, for a delegate.
struct Log<'a>(&'a dyn Fn(&[u8]));

impl Write for Log<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
