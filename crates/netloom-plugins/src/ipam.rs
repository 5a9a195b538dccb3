//! Plugins that give addresses to the interfaces other plugins make.

pub mod dhcp;
pub mod host_local;
pub mod static_;
