//! The cells of a row.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use netloom_testkit::{Host, Plugin, Pod, Snapshot, Uplink, probe, skip};

use crate::page;
use crate::side::{Attached, Said, Side};
use crate::stream::Stream;
use crate::subject::{Column, Cure, Exception, Subject};

/// How long the kernel may take to destroy a namespace and what was in it.
const PATIENCE: Duration = Duration::from_secs(10);
const NEIGHBOUR: u8 = 1;
const SUBJECT: u8 = 2;

/// A host on which `first` has a pod with traffic, before the pod in question comes.
struct Scene<'a> {
    subject: &'a Subject,
    host: &'a Host,
    first: &'a Side,
    neighbour: &'a Pod,
    stream: &'a Stream<'a>,
    before: Snapshot,
}

/// Measures all cells, and compares them with the page.
pub(crate) fn measure(subject: &Subject) {
    if Plugin::debian(subject.name).is_none() {
        return;
    }
    let (go, ours) = (Side::go(), Side::netloom());
    let mut cells = Vec::new();
    let by_go = on_a_host(subject, &go, |scene| {
        cells.extend(scene.check_and_del(&ours, Column::OurCheck, Column::OurDel));
        let living = scene.gc_of_the_living(&ours);
        cells.extend([scene.gc_of_the_dead(&ours), living]);
        scene.go_alone(&go);
    });
    if !by_go {
        return;
    }
    on_a_host(subject, &ours, |scene| {
        cells.extend(scene.check_and_del(&go, Column::GoCheck, Column::GoDel));
    });
    let cells: Vec<_> = cells
        .into_iter()
        .map(|(column, said)| subject.judge(column, said))
        .collect();
    page::assert_has_row(subject.name, &cells);
}

/// Asserts that what the former netloom added is checked, deleted and collected, and left alone as long as it lives.
pub(crate) fn take_over(subject: &Subject) {
    let Some(former) = Side::former() else {
        return;
    };
    let ours = Side::netloom();
    on_a_host(subject, &former, |scene| {
        let mut cells = Vec::from(scene.check_and_del(&ours, Column::OurCheck, Column::OurDel));
        cells.push(scene.gc_of_the_living(&ours));
        cells.push(scene.gc_of_the_dead(&ours));
        for (column, said) in cells {
            if subject.cure(column) == Some(Cure::Time) {
                assert!(subject.judge(column, said).is_some());
                continue;
            }
            let name = subject.name;
            said.unwrap_or_else(|error| {
                panic!("{name} of the former netloom, {column:?}: {error}")
            });
        }
    });
}

/// Whether the host could be made.
fn on_a_host(subject: &Subject, first: &Side, work: impl FnOnce(&Scene<'_>)) -> bool {
    let Some(host) = Host::new() else {
        return false;
    };
    if !probe::has_iptables() {
        skip("no iptables on this machine, and Go's release knows no other packet filter");
        return false;
    }
    if let Some(kind) = subject.needs
        && !probe::has_link_kind(kind)
    {
        skip(&format!("the kernel has no {kind} links"));
        return false;
    }
    let uplink = host.uplink();
    for address in Uplink::HOST {
        assert!(uplink.outside.pings(address), "{address}");
    }
    let Some(_background) = (subject.prepare)(&host, &uplink, first) else {
        return false;
    };
    let neighbour = host.pod("neighbour");
    let attached = subject.add(first, NEIGHBOUR, &neighbour);
    let stream = subject
        .traffic
        .open(&uplink, &neighbour, NEIGHBOUR, &attached);
    let mut scene = Scene {
        subject,
        host: &host,
        first,
        neighbour: &neighbour,
        stream: &stream,
        before: Snapshot::take(&host, &[]),
    };
    scene.settle(None);
    scene.before = scene.look(None);
    work(&scene);
    true
}

impl Subject {
    fn add(&self, side: &Side, number: u8, pod: &Pod) -> Attached {
        side.add((self.chain)(number), self.if_name, pod)
    }

    fn exception(&self, column: Column) -> Option<&'static Exception> {
        self.exceptions.iter().find(|it| it.column == column)
    }

    fn cure(&self, column: Column) -> Option<Cure> {
        Some(self.exception(column)?.cure)
    }

    /// The exception of a cell that has one, after a look at whether it is as it says.
    fn judge(&self, column: Column, said: Said) -> Option<&'static Exception> {
        let name = self.name;
        match (self.exception(column), said) {
            (None, Ok(())) => None,
            (None, Err(error)) => panic!("{name}, {column:?}: {error}"),
            (Some(_), Ok(())) => panic!("{name}, {column:?}: is no exception any more"),
            (Some(exception), Err(error)) => {
                let known = |line: &str| exception.because.iter().any(|part| line.contains(part));
                assert!(error.lines().all(known), "{name}, {column:?}: {error}");
                Some(exception)
            }
        }
    }
}

impl Scene<'_> {
    /// ADD by the first; CHECK and DEL by the second leave nothing.
    fn check_and_del(&self, second: &Side, check: Column, del: Column) -> [(Column, Said); 2] {
        let pod = self.pod();
        let (bare, records) = (self.look(Some(&pod)), records());
        let attached = self.stream.during(|| self.add(&pod));
        self.settle(Some(&pod));
        assert!(!self.look(Some(&pod)).difference_from(&bare).is_empty());
        let added = self.look(Some(&pod));
        let checked = self.stream.during(|| second.check(&attached, &pod));
        self.look(Some(&pod)).assert_same_as(&added);
        let deleted = self.stream.during(|| second.del(&attached, &pod));
        if del == Column::GoDel {
            forget_all_but(&records);
        }
        let deleted = deleted.and_then(|()| self.comes_back_to(&bare, Some(&pod)));
        if deleted.is_err() && self.subject.cure(del) == Some(Cure::OurGc) {
            self.mend(&bare, &pod);
        }
        [(check, checked), (del, deleted)]
    }

    /// ADD by the first, then the pod dies; GC by the second leaves nothing of it.
    fn gc_of_the_dead(&self, second: &Side) -> (Column, Said) {
        let pod = self.pod();
        let attached = self.stream.during(|| self.add(&pod));
        (self.subject.dies)(self.host, &pod);
        pod.remove();
        let (chain, living) = (&attached.chain, [self.neighbour]);
        let collect = || second.gc(chain, attached.if_name, &living);
        let said = self.stream.during(collect);
        let said = said.and_then(|()| self.comes_back_to(&self.before, None));
        if said.is_err() && self.subject.cure(Column::OurGcOfTheDead) != Some(Cure::Time) {
            // What GC could not know, DEL does, by the configuration and the result.
            let deleted = self.stream.during(|| second.del(&attached, &pod));
            deleted.unwrap_or_else(|error| panic!("DEL after GC: {error}"));
            let back = self.comes_back_to(&self.before, None);
            back.unwrap_or_else(|left| panic!("{}: after GC and DEL:\n{left}", self.subject.name));
        }
        (Column::OurGcOfTheDead, said)
    }

    /// ADD by the first; GC by the second, which is told that the pod lives, changes nothing.
    fn gc_of_the_living(&self, second: &Side) -> (Column, Said) {
        let pod = self.pod();
        let attached = self.stream.during(|| self.add(&pod));
        self.settle(Some(&pod));
        let added = self.look(Some(&pod));
        let living = [self.neighbour, &pod];
        let collect = || second.gc(&attached.chain, attached.if_name, &living);
        let said = self.stream.during(collect);
        let said = said.and_then(|()| same(&self.look(Some(&pod)), &added));
        self.stream
            .during(|| second.del(&attached, &pod))
            .unwrap_or_else(|error| panic!("DEL after GC: {error}"));
        (Column::OurGcOfTheLiving, said)
    }

    /// What Go does to its own, where an exception says that it is no better.
    fn go_alone(&self, go: &Side) {
        let of_go = |it: &&Exception| it.cure == Cure::GoAlone;
        for exception in self.subject.exceptions.iter().filter(of_go) {
            let pod = self.pod();
            let bare = self.look(Some(&pod));
            let attached = self.add(&pod);
            let checked = go.check(&attached, &pod);
            let deleted = go.del(&attached, &pod);
            let deleted = deleted.and_then(|()| self.comes_back_to(&bare, Some(&pod)));
            let said = match exception.column {
                Column::GoCheck => checked,
                _ => deleted,
            };
            let judged = self.subject.judge(exception.column, said);
            assert!(judged.is_some());
        }
    }

    /// What DEL of Go left is collected by netloom.
    fn mend(&self, bare: &Snapshot, pod: &Pod) {
        let chain = (self.subject.chain)(SUBJECT);
        let living = [self.neighbour];
        let said = Side::netloom().gc(&chain, self.subject.if_name, &living);
        said.unwrap_or_else(|error| panic!("GC: {error}"));
        let back = self.comes_back_to(bare, Some(pod));
        back.unwrap_or_else(|left| panic!("{}: after our GC:\n{left}", self.subject.name));
    }

    /// A pod whose `lo` was up once: its address stays when it goes down again.
    fn pod(&self) -> Pod {
        let pod = self.host.pod("pod");
        pod.sh("ip link set lo up; ip link set lo down");
        pod
    }

    fn add(&self, pod: &Pod) -> Attached {
        self.subject.add(self.first, SUBJECT, pod)
    }

    /// Waits until the kernel has tested all addresses for duplicates: only then are their routes there.
    fn settle(&self, pod: Option<&Pod>) {
        let line = "-6 address show tentative";
        let since = Instant::now();
        let pods = || pod.into_iter().chain([self.neighbour]);
        while pods().any(|pod| !pod.ip(line).is_empty()) || !self.host.ip(line).is_empty() {
            assert!(since.elapsed() < PATIENCE, "an address stays tentative");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn look(&self, pod: Option<&Pod>) -> Snapshot {
        let mut pods = vec![self.neighbour];
        pods.extend(pod);
        Snapshot::take(self.host, &pods).without_shared(&["br0"])
    }

    /// Waits for what the kernel and servers do in their own time.
    fn comes_back_to(&self, before: &Snapshot, pod: Option<&Pod>) -> Said {
        let patience = Instant::now() + PATIENCE;
        loop {
            let said = same(&self.look(pod), before);
            if said.is_ok() || Instant::now() > patience {
                return said;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What netloom remembers of attachments.
fn records() -> Vec<PathBuf> {
    let entries = fs::read_dir("/run/cni/attachments").into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Go's DEL knows nothing of records: the page says so, apart from the table. There is no more than one
/// for an attachment.
fn forget_all_but(former: &[PathBuf]) {
    let mut left = records();
    left.retain(|path| !former.contains(path));
    assert!(left.len() <= 1, "{left:?}");
    for path in left {
        fs::remove_file(path).unwrap();
    }
}

fn same(now: &Snapshot, before: &Snapshot) -> Said {
    let difference = now.difference_from(before);
    if difference.is_empty() {
        return Ok(());
    }
    Err(difference.to_string())
}
