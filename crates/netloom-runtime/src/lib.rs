//! The CNI runtime library: load network configurations, run them, cache attachments. What
//! [libcni] is for Go.
//!
//! ```no_run
//! use netloom_runtime::{Cni, RuntimeConf, load};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cni = Cni::new(["/opt/cni/bin"]);
//! let network = load::find_by_name("/etc/cni/net.d", "blue")?;
//! let rt = RuntimeConf::new("0d5ee8", "/var/run/netns/blue", "eth0");
//! let result = cni.add(&network, &rt)?;
//! for ip in &result.ips {
//!     println!("{}", ip.address);
//! }
//! cni.del(&network, &rt)?;
//! # Ok(())
//! # }
//! ```
//!
//! Every operation takes a [`NetworkConfigList`](netloom_spec::NetworkConfigList), or a single
//! [`PluginConf`](netloom_spec::PluginConf) of the deprecated form without a list (see
//! [`Network`]). All may be called from several threads; operations on one
//! container must not overlap (CNI spec 1.1.0, section 3).
//!
//! All are synchronous. [`Cni::within`], [`Cni::until`] and [`Cni::cancelled_by`] bound a call, as Go's
//! contexts do; [`Cni::in_background`] makes a future of it, which any executor can await and which
//! blocks none. How long each single plugin may take is up to the execution engine
//! ([`ProcessExec::time_limit`](netloom_invoke::ProcessExec)).
//!
//! [`undeclared_capabilities`] tells what the runtime offers in vain. [`netns`] makes and watches
//! namespaces, [`load::Watcher`] a directory of configurations.
//! Results, [`RuntimeConf`] and [`CachedAttachment`] can be serialized with serde.
//!
//! # For those who know libcni
//!
//! | libcni | here |
//! |---|---|
//! | `NewCNIConfig(path, exec)` | [`Cni::new`], [`Cni::exec`] |
//! | `NewCNIConfigWithCacheDir` | [`Cni::cache_dir`] |
//! | `RuntimeConf` | [`RuntimeConf`] |
//! | `ctx context.Context` of every call | [`Cni::until`], [`Cni::within`], [`Cni::cancelled_by`] |
//! | `AddNetworkList`, `AddNetwork` | [`Cni::add`] |
//! | `CheckNetworkList`, `CheckNetwork` | [`Cni::check`] |
//! | `DelNetworkList`, `DelNetwork` | [`Cni::del`], [`Cni::del_with`] |
//! | `GCNetworkList` | [`Cni::gc`], [`Cni::plan_gc`] |
//! | `GetStatusNetworkList` | [`Cni::status`] |
//! | `ValidateNetworkList`, `ValidateNetwork` | [`Cni::validate`] |
//! | `GetVersionInfo` | [`Cni::version_info`], [`Cni::versions`] |
//! | `GetNetworkListCachedResult`, `GetNetworkCachedResult` | [`Cni::cached_result`] |
//! | `GetNetworkListCachedConfig`, `GetNetworkCachedConfig` | [`Cni::cached_config`] |
//! | `GetCachedAttachments`, `NetworkAttachment` | [`Cni::cached_attachments`], [`CachedAttachment`] |
//! | `ConfFiles` | [`load::conf_files`] |
//! | `LoadNetworkConf`, `LoadConfList` | [`load::find_by_name`], [`load::directory`] |
//! | `NetworkConfFromFile`, `ConfListFromFile` | [`load::list_from_file`] |
//! | `NetworkConfFromBytes`, `ConfListFromBytes` | [`NetworkConfigList::parse`](netloom_spec::NetworkConfigList::parse) |
//! | `NetworkPluginConfsFromFiles` | [`load::plugins_beside`] |
//! | `NetworkPluginConfFromBytes`, `ConfFromBytes` | [`load::plugin_from_bytes`] |
//! | `ConfFromFile` | [`load::plugin_from_file`] |
//! | `LoadConf` | [`load::find_plugin_by_name`] |
//! | `ConfListFromConf` | [`NetworkConfigList::from_conf`](netloom_spec::NetworkConfigList::from_conf) |
//! | `InjectConf` | [`load::inject`] |
//! | `NotFoundError`, `NoConfigsFoundError` | [`load::Error::NotFound`], [`load::Error::NoConfigsFound`] |
//! | `ErrorCheckNotSupp` | [`Error::CheckNotSupported`] |
//! | `CacheDir` | [`DEFAULT_CACHE_DIR`] |
//!
//! What differs from libcni, on purpose:
//!
//! - `capabilities` and foreign `cni.dev/…` keys do not reach plugins, as the specification says.
//! - The plugins of a list are all looked for before the first is executed by ADD.
//! - Each plugin gets `prevResult` in the configuration's version, whatever version the plugin
//!   before it answered in.
//! - CHECK and STATUS name the plugin that failed; the code is the plugin's own all the same.
//! - An attachment is cached by temporary file and rename. The cached configuration is what GC
//!   deletes a stale attachment with.
//! - GC excludes ADD and DEL of the same network by a lock, goes on past every error, names the
//!   files of the cache that it cannot read, refuses an empty list of valid attachments, asks the
//!   plugins of former configurations too, and does not tell plugins a namespace that now is
//!   another container's.
//! - A broken file does not hide the good ones of its directory.
//!
//! [libcni]: https://github.com/containernetworking/cni/tree/main/libcni

#![forbid(unsafe_code)]

mod attachment;
mod background;
mod cache;
mod cached;
mod cni;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gc;
pub mod load;
pub mod netns;
mod network;
mod request;
mod runtime_conf;
mod survey;

pub use attachment::{DelMode, FailedAdd};
pub use background::Background;
pub use cache::{CacheError, CacheSurvey, CachedAttachment};
pub use cni::Cni;
pub use error::Error;
pub use gc::{GcPlan, Judge, Life, StaleAttachment, Valid};
pub use netloom_invoke::Cancellation;
pub use network::Network;
pub use request::{forecast_request, undeclared_capabilities};
pub use runtime_conf::RuntimeConf;

/// Where attachments are cached by default, together with every other CNI runtime on the host.
pub const DEFAULT_CACHE_DIR: &str = "/var/lib/cni";
