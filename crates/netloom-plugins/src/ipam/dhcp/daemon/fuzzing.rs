//! A plugin that says anything to the daemon.

use super::connection::{Answer, Call, Connection};
use crate::fuzzing::assert_one_line;
use crate::ipam::dhcp::config::Wanted;
use crate::ipam::dhcp::fuzzing::identity;
use crate::ipam::dhcp::gob::Decoder;
use crate::ipam::dhcp::rpc::{CONNECT, CONNECTED, CmdArgs, Method, Request, call};
use netloom_spec::PluginConf;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

/// A conversation after CONNECT, or, if the first byte is 0, from its beginning on.
pub(crate) fn daemon(input: &[u8]) {
    let Some((choice, said)) = input.split_first() else {
        return;
    };
    let (stream, mut plugin) = UnixStream::pair().expect("a pair of sockets");
    let head = if *choice == 0 { "" } else { CONNECT };
    // More than the socket holds would wait for a reader.
    if said.len() > 64 * 1024 || plugin.write_all(&[head.as_bytes(), said].concat()).is_err() {
        return;
    }
    plugin.shutdown(Shutdown::Write).expect("an end");
    let mut connection = Connection::new(stream).expect("a connection");
    let end = connection.read().expect_err("the plugin has hung up");
    assert_one_line(&end.to_string());
    while let Ok(Some(call)) = connection.next_call() {
        served(&call);
        let answer = Answer::Error("no".to_owned());
        connection.answer(&call.method, call.sequence, &answer);
        if !connection.flush().is_ok_and(|done| done) {
            break;
        }
    }
    drop(connection.flush());
    drop(connection);
    heard(plugin);
}

/// What the daemon makes of a call before it does anything; and the call is said again as it was.
fn served(said: &Call) {
    let mut decoder = Decoder::default();
    decoder.feed(&call(Method::Allocate, &said.args));
    let request: Option<Request> = decoder.next().expect("what was written is read");
    let args: Option<CmdArgs> = decoder.next().expect("what was written is read");
    assert!(request.is_some() && args.as_ref() == Some(&said.args));
    if Method::named(&said.method).is_some()
        && let Ok(conf) = PluginConf::parse(&said.args.stdin)
    {
        assert_eq!(identity(&said.args, conf.name()).file_name().len(), 37);
        if let Err(error) = Wanted::new(&conf, &said.args.args) {
            assert_one_line(&error.msg);
        }
    }
}

/// Whatever was said, the daemon's answers are a stream of gob after the line that it is expected to
/// begin with.
fn heard(mut plugin: UnixStream) {
    let mut answers = Vec::new();
    plugin.read_to_end(&mut answers).expect("an end");
    if let Some(answers) = answers.strip_prefix(CONNECTED.as_bytes()) {
        let mut decoder = Decoder::default();
        decoder.feed(answers);
        while decoder.skip().expect("answers are gob") {}
        assert_eq!(decoder.waiting(), 0);
    }
}
