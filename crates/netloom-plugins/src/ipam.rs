//! Plugins that give addresses to the interfaces other plugins make.

pub mod cluster;
pub mod dhcp;
pub mod host_local;
pub mod static_;

plugins! {
    cluster::Cluster,
    dhcp::Dhcp,
    host_local::HostLocal,
    static_::Static,
    cluster::Whereabouts,
}
