//! Both ends of netloom-node's socket; what was understood goes through the machine too.
#![no_main]

use netloom_cluster::grants::{Config, Input, Machine, Now, Output, Ticket};
use netloom_cluster::message::{Answer, Request};
use netloom_cluster::{ClusterId, NodeName};
use std::collections::BTreeMap;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(answer) = Answer::parse(bytes) {
        assert_eq!(Answer::parse(&answer.to_line()), Ok(answer));
    }
    let Ok(request) = Request::parse(bytes) else {
        return;
    };
    assert_eq!(Request::parse(&request.to_line()).as_ref(), Ok(&request));
    let config = Config {
        node: NodeName::new("n").expect("a name"),
        boot: "boot".into(),
        forget_after: 1,
        idle: 1,
        seed: 1,
    };
    let mut machine = Machine::new(config, Some(Default::default()), BTreeMap::new());
    let wait = request.wait;
    let mut out = Vec::new();
    let at = |instant| Now { instant, wall: 0 };
    machine.handle(
        at(0),
        Input::Connected(ClusterId::new("c").expect("an id")),
        &mut out,
    );
    machine.handle(at(0), Input::Request(Ticket(1), request.clone()), &mut out);
    machine.handle(at(wait + 1), Input::Tick, &mut out);
    let is_answer = |it: &Output| matches!(it, Output::Answer(Ticket(1), _));
    let is_hint = request.op == netloom_cluster::message::Op::Hint;
    assert_eq!(
        out.iter().filter(|it| is_answer(it)).count(),
        usize::from(!is_hint)
    );
});
