//! The table that everything is in.

use netloom_kernel::nft::{Family, Table};

pub(super) const TABLE: Table<'static> = Table::new(Family::Inet, "cni_plugins_firewall")
    .comment("Forwarding to and from pods, by the CNI plugin firewall of netloom");
