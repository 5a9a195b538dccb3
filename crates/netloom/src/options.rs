//! The flags that every verb understands.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::execution::parse_limit;

/// Flags that every verb understands.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Name of the interface inside the container.
    #[arg(
        short = 'i',
        long,
        global = true,
        env = "CNI_IFNAME",
        default_value = "eth0"
    )]
    pub(crate) ifname: String,

    /// Directory of network configurations.
    #[arg(
        long,
        global = true,
        env = "NETCONFPATH",
        default_value = "/etc/cni/net.d",
        value_name = "DIR"
    )]
    pub(crate) conf_dir: PathBuf,

    /// Directory of attachment results (`DIR/results`), shared with other runtimes.
    #[arg(
        long,
        global = true,
        default_value = "/var/lib/cni",
        value_name = "DIR"
    )]
    pub(crate) cache_dir: PathBuf,

    /// How long a plugin may run, as 90s or 2m; it is then killed with all it started. 0 is no limit
    /// [default: 120s, and 320s for an ADD that waits for a DHCP server].
    #[arg(long, global = true, value_name = "DURATION", value_parser = parse_limit)]
    pub(crate) timeout: Option<Duration>,

    /// Print failures as the CNI error object on stdout, beside the words on stderr; of a verb that
    /// reports, the report as a document.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}
