//! The library's entry: where plugins are, how they are executed, where attachments are cached.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netloom_invoke::{
    ArgsForm, AsEnv, Cancellation, Command, Exec, Invocation, Limits, PluginInfo, ProcessExec,
    TraceContext, Within,
};
use netloom_spec::{AddResult, PluginConf};

use crate::cache::{Cache, OnWait};
use crate::{DEFAULT_CACHE_DIR, Error, RuntimeConf};

/// Runs networks: finds their plugins in the plugin directories, executes them, and remembers
/// attachments. Cheap to clone, and free to be used by several threads at once.
///
/// ```no_run
/// use netloom_runtime::{Cni, RuntimeConf, load};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cni = Cni::new(["/opt/cni/bin"]);
/// let network = load::find_by_name("/etc/cni/net.d", "blue")?;
/// let rt = RuntimeConf::new("0d5ee8", "/var/run/netns/blue", "eth0");
///
/// let result = cni.add(&network, &rt)?;
/// println!("{}", result.to_json(result.cni_version)?);
/// cni.check(&network, &rt)?;
/// cni.del(&network, &rt)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cni {
    plugin_dirs: Vec<PathBuf>,
    exec: Arc<dyn Exec>,
    cache_dir: Option<PathBuf>,
    trace: Option<TraceContext>,
    on_wait: Option<OnWait>,
    limits: Limits,
}

impl Cni {
    /// Searches plugins in `plugin_dirs`, in this order; executes them as processes without a
    /// time limit; caches attachments under [`DEFAULT_CACHE_DIR`].
    pub fn new(plugin_dirs: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self {
            plugin_dirs: plugin_dirs.into_iter().map(Into::into).collect(),
            exec: Arc::new(ProcessExec::default()),
            cache_dir: None,
            trace: None,
            on_wait: None,
            limits: Limits::none(),
        }
    }

    /// Caches attachments under `dir`, whatever a [`RuntimeConf`] says.
    #[must_use]
    pub fn cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(dir.into());
        self
    }

    /// Executes plugins by `exec`.
    ///
    /// ```
    /// use netloom_invoke::ProcessExec;
    /// use netloom_runtime::Cni;
    /// use std::time::Duration;
    ///
    /// let exec = ProcessExec { time_limit: Some(Duration::from_secs(60)), ..Default::default() };
    /// let cni = Cni::new(["/opt/cni/bin"]).exec(exec);
    /// ```
    #[must_use]
    pub fn exec(mut self, exec: impl Exec + 'static) -> Self {
        self.exec = Arc::new(exec);
        self
    }

    /// Tells who waits for a second and longer for the lock of a network, which somebody else holds: a
    /// line that names both.
    #[must_use]
    pub fn on_wait(mut self, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_wait = Some(Arc::new(tell));
        self
    }

    /// Hands this trace to the plugins, in place of the one this process may have inherited.
    #[must_use]
    pub fn trace_context(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// The same for calls that must end by `deadline`, however many plugins they execute: what runs
    /// then is killed with its process group, and no further plugin is started. An ADD that ended so
    /// is followed by a [`Cni::del`] with time of its own, as any ADD that failed.
    ///
    /// ```no_run
    /// use netloom_runtime::{Cni, RuntimeConf, load};
    /// use std::time::{Duration, Instant};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cni = Cni::new(["/opt/cni/bin"]);
    /// let network = load::find_by_name("/etc/cni/net.d", "blue")?;
    /// let rt = RuntimeConf::new("0d5ee8", "/var/run/netns/blue", "eth0");
    /// if let Err(error) = cni.within(Duration::from_secs(30)).add(&network, &rt) {
    ///     cni.within(Duration::from_secs(60)).del(&network, &rt)?;
    ///     return Err(error.into());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        let mut this = self.clone();
        this.limits = this.limits.until(deadline);
        this
    }

    /// [`Cni::until`] so much later than now.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        match Instant::now().checked_add(time) {
            Some(deadline) => self.until(deadline),
            None => self.clone(),
        }
    }

    /// The same for calls that end when `cancellation` is cancelled, as [`Cni::until`] tells; who waits
    /// for a network's lock is woken too.
    #[must_use]
    pub fn cancelled_by(&self, cancellation: &Cancellation) -> Self {
        let mut this = self.clone();
        this.limits = this.limits.cancelled_by(cancellation);
        this
    }

    /// Where plugins are searched.
    pub fn plugin_dirs(&self) -> &[PathBuf] {
        &self.plugin_dirs
    }

    /// The cache for an attachment; `None` for what concerns no single one.
    pub(crate) fn cache(&self, rt: Option<&RuntimeConf>) -> Cache {
        let dir = self
            .cache_dir
            .as_deref()
            .or_else(|| rt?.cache_dir.as_deref());
        let dir = dir.unwrap_or(Path::new(DEFAULT_CACHE_DIR));
        Cache::in_dir(dir)
            .on_wait(self.on_wait.clone())
            .limits(self.limits.clone())
    }

    pub(crate) fn find(&self, conf: &PluginConf, command: Command) -> Result<PathBuf, Error> {
        self.exec
            .find_in_path(conf.plugin_type(), &self.plugin_dirs)
            .map_err(|cause| Error::of_plugin(conf, operation(command), cause))
    }

    /// Executes ADD with the request made of `conf`.
    pub(crate) fn exec_add(
        &self,
        conf: &PluginConf,
        path: &Path,
        request: &PluginConf,
        rt: &RuntimeConf,
    ) -> Result<AddResult, Error> {
        let args = self.args(Command::Add, Some(rt));
        netloom_invoke::add(&self.within_limits(), path, request, &args)
            .map_err(|cause| Error::of_plugin(conf, operation(Command::Add), cause))
    }

    /// Finds the plugin of `conf` and executes a command without a result.
    pub(crate) fn exec_run(
        &self,
        command: Command,
        conf: &PluginConf,
        request: &PluginConf,
        rt: Option<&RuntimeConf>,
    ) -> Result<(), Error> {
        let path = self.find(conf, command)?;
        netloom_invoke::run(
            &self.within_limits(),
            &path,
            request,
            &self.args(command, rt),
        )
        .map_err(|cause| Error::of_plugin(conf, operation(command), cause))
    }

    /// Finds the plugin of this `type` and asks for its versions.
    pub(crate) fn exec_version(&self, plugin_type: &str, name: &str) -> Result<PluginInfo, Error> {
        self.exec
            .find_in_path(plugin_type, &self.plugin_dirs)
            .and_then(|path| netloom_invoke::version_info(&self.within_limits(), &path))
            .map_err(|cause| Error::Plugin {
                plugin_type: plugin_type.to_owned(),
                name: name.to_owned(),
                operation: operation(Command::Version),
                cause: Box::new(cause),
            })
    }

    fn within_limits(&self) -> Within<'_> {
        Within::new(&*self.exec, &self.limits)
    }

    fn args(&self, command: Command, rt: Option<&RuntimeConf>) -> impl AsEnv + use<> {
        let rt = rt.cloned().unwrap_or_default();
        Invocation {
            command,
            container_id: rt.container_id,
            netns: rt.netns,
            if_name: rt.if_name,
            args: ArgsForm::Pairs(rt.args),
            path: self.plugin_dirs.clone(),
            trace: self.trace.clone(),
        }
    }
}

impl fmt::Debug for Cni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cni")
            .field("plugin_dirs", &self.plugin_dirs)
            .field("cache_dir", &self.cache_dir)
            .field("trace", &self.trace)
            .finish_non_exhaustive()
    }
}

/// The name of a command in error messages.
fn operation(command: Command) -> &'static str {
    match command {
        Command::Add => "add",
        Command::Del => "delete",
        Command::Check => "check",
        Command::Gc => "gc",
        Command::Status => "status",
        Command::Version => "version",
    }
}
