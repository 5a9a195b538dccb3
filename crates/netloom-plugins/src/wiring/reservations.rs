//! Addresses that are reserved on this host: the files, see [`store`], the index beside them, see
//! [`index`], and the ranges that they are taken from. host-local and cluster keep them alike.

pub(crate) mod address;
pub(crate) mod allocator;
mod blocks;
mod boot;
pub(crate) mod directory;
pub(crate) mod foresee;
#[cfg(test)]
mod healing_tests;
pub(crate) mod index;
pub(crate) mod listing;
pub(crate) mod owner;
pub(crate) mod ranges;
pub(crate) mod resolv_conf;
pub(crate) mod sandbox;
pub(crate) mod store;
pub(crate) mod store_error;
mod survey;
mod table;
