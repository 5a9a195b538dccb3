//! The CNI specification as types: versions, configuration, results, errors, names. No I/O.
//!
//! Everything a runtime and a plugin say to each other has a type here, in every
//! version of the protocol from 0.1.0 to 1.1.0:
//!
//! | what | type |
//! |---|---|
//! | protocol versions and their selection | [`Version`], [`version::Triple`], [`select_version`] |
//! | a network's configuration list | [`NetworkConfigList`] |
//! | one plugin's configuration or request | [`PluginConf`] |
//! | the result of ADD | [`AddResult`] |
//! | the error object | [`Error`], [`code`] |
//! | the answer to VERSION | [`PluginInfo`] |
//! | container id, network name, interface name | [`ContainerId`], [`NetworkName`], [`IfName`] |
//! | the variable `CNI_ARGS` | [`CniArgs`] |
//! | text forms of addresses | [`net`], [`Mac`] |
//!
//! JSON is read as the reference implementation reads it (see [`decode`]), and
//! what this crate does not know is kept.
//!
//! # Example
//!
//! A plugin's request comes in, its `prevResult` is read in whatever version it
//! has, and goes out again in the version the request asks for:
//!
//! ```
//! use netloom_spec::{AddResult, Interface, IpConfig, PluginConf, Version, net};
//!
//! # fn main() -> Result<(), netloom_spec::Error> {
//! let conf = PluginConf::parse(br#"{
//!     "cniVersion": "0.4.0", "name": "blue", "type": "debug",
//!     "prevResult": {"ips": [{"version": "4", "address": "10.1.0.5/16"}]}
//! }"#)?;
//! assert_eq!(conf.version()?, Version::V0_4_0);
//!
//! let mut result = conf.prev_result()?.unwrap_or_default();
//! assert_eq!(result.ips[0].address.to_string(), "10.1.0.5/16");
//!
//! result.interfaces.push(Interface::new("eth0"));
//! result.ips.push(IpConfig::new(net::parse_cidr("fd00::5/64")?));
//! assert!(result.to_json(conf.version()?)?.contains(r#""version": "6""#));
//!
//! // A result that the oldest shape cannot hold is an error, not a half answer.
//! let empty = AddResult::new();
//! assert!(empty.to_json(Version::V0_2_0).is_err());
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod args;
mod conf;
pub mod decode;
mod error;
mod error_object;
mod list;
mod mac;
mod names;
pub mod net;
mod result;
mod shape;
pub mod terminal;
pub mod version;

pub use args::CniArgs;
pub use conf::{Attachment, PluginConf};
pub use error::{Error, code};
pub use list::NetworkConfigList;
pub use mac::Mac;
pub use names::{ContainerId, IfName, NetworkName};
pub use result::{AddResult, Dns, Interface, IpConfig, Route};
pub use version::{PluginInfo, Version, select_version};
