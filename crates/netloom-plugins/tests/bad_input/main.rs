//! What a plugin says to bad input: the right code, a message that names field and value, and
//! nothing changed on the host, in the pod or on disk.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

mod bridge;
mod case;
mod cores;
mod pool;
mod protocol;
mod situation;

use case::{Case, try_all};

#[test]
fn a_bad_request_is_refused_before_anything_happens() {
    try_all(&protocol::cases());
}

#[test]
fn a_bad_situation_is_named_and_left_as_it_is() {
    try_all(&situation::cases());
}

#[test]
fn a_bad_bridge_configuration_is_refused_before_anything_happens() {
    try_all(&bridge::cases());
}

#[test]
fn a_bad_pool_is_refused_before_anything_is_reserved() {
    try_all(&pool::cases());
}
