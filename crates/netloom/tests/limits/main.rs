//! The chain of real nodes where there is too little memory, or no room on the disk.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod disk;
mod every_write;
mod memory;
#[path = "../chain/network.rs"]
mod network;
