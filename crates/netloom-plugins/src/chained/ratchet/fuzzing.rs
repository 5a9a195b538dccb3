//! A record, a topology, and what the daemon tells of other hosts' pods.

use super::far::Far;
use super::keys::Keys;
use super::link::Link;
use super::record::Record;
use super::topology::Topology;
use crate::fuzzing::assert_one_line;
use netloom_spec::decode;

/// What is understood is written and read again as it was.
pub(crate) fn record(content: &[u8]) {
    let Some(record) = Record::parse(content) else {
        return;
    };
    let again = Record::parse(&record.to_bytes());
    for (link, _) in again.expect("what was written is read").wanted() {
        let again = Link::read(&link.text(), "default/other", "record");
        assert_eq!(again.as_ref(), Ok(&link));
        assert_eq!(link.clone().reversed().id(), link.id());
    }
}

/// Every link of it is understood, or refused in one line.
pub(crate) fn topology(content: &[u8]) {
    let Ok(object) = decode::parse_object(content) else {
        return;
    };
    let topology = match Topology::read(&Keys::of(&object, "")) {
        Ok(topology) => topology,
        Err(error) => return assert_one_line(&error.msg),
    };
    for text in &topology.links {
        let link = Link::read(text, "default/one", "links[0]");
        let tunnel = link.and_then(|link| match &link.hosts {
            Some(hosts) => topology.tunnel(&link, hosts, "hostA").map(drop),
            None => Ok(()),
        });
        if let Err(error) = tunnel {
            assert_one_line(&error.msg);
        }
    }
}

/// How many pods of other hosts the plugin reads in the daemon's file. Each of their links becomes a
/// tunnel or none.
pub fn far(content: &[u8]) -> usize {
    let far = Far::parse(content);
    for pod in far.askers("default/one") {
        for (link, _) in pod.record.wanted() {
            let _ = far.tunnel(link.reversed(), pod);
        }
    }
    far.count()
}
