//! A bus that says anything.

use super::{Connection, Method};
use crate::fuzzing::assert_one_line;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

const METHOD: Method<'_> = Method {
    destination: "org.fedoraproject.FirewallD1",
    path: "/org/fedoraproject/FirewallD1",
    interface: "org.fedoraproject.FirewallD1.zone",
    member: "querySource",
};

/// Two calls of a bus that has said all this already. A first byte of 0 is the greeting's.
pub fn dbus(input: &[u8]) {
    let Some((choice, said)) = input.split_first() else {
        return;
    };
    let (stream, mut bus) = UnixStream::pair().expect("a pair of sockets");
    // More than the socket holds would wait for a reader.
    if said.len() > 64 * 1024 || bus.write_all(said).is_err() {
        return;
    }
    bus.shutdown(Shutdown::Write).expect("an end");
    let mut connection = Connection { stream, serial: 0 };
    if *choice == 0 && connection.authenticate().is_err() {
        return;
    }
    for _ in 0..2 {
        match connection.call(METHOD, &["trusted", "10.1.0.5/32"]) {
            Ok(answer) => drop(answer.is_true()),
            Err(error) => assert_one_line(&error.to_string()),
        }
    }
}
