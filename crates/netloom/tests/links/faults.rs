//! Killed at every system call of apply and destroy: the next call makes good.

use netloom_testkit::{Call, Faults, Host, Pod, Sample, Snapshot};

use crate::{File, netloom};

const LAB: &str = r#"
name: lab
nodes: { r1: {}, r2: {}, b: { attach: "ns:blue" } }
links:
  - endpoints: ["r1:eth1:10.0.0.1/24", "r2:eth1:10.0.0.2/24"]
  - endpoints: ["r1:eth2", "b:eth2"]
  - endpoints: ["r2:eth3:10.0.3.1/24", "b:eth3:10.0.3.2/24"]
  - endpoints: ["b:up0", "host:lab0"]
  - endpoints: ["b:mv0", "macvlan:under"]
"#;

struct Scene {
    host: Host,
    blue: Pod,
    file: File,
    /// Before the first apply: with a link of somebody else beside.
    before: Snapshot,
}

impl Scene {
    fn new() -> Option<Self> {
        let host = Host::new()?;
        let blue = host.pod("blue");
        host.sh("ip link add under type veth peer name other; ip link set under up");
        blue.ip("link add theirs type veth peer name theirs2");
        let before = Snapshot::take(&host, &[&blue]);
        Some(Self {
            host,
            blue,
            file: File::new(LAB),
            before,
        })
    }

    fn call(&self, verb: &str) -> Call {
        netloom(&format!("topo {verb} {}", self.file.path().display()))
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.host, &[&self.blue])
    }

    #[track_caller]
    fn run(&self, verb: &str, when: &str) {
        let outcome = self.call(verb).run();
        assert!(outcome.is_success(), "{when}: {outcome}");
    }
}

/// Every point of `verb`, in this run's sample; `prepare` comes before it.
fn kill_everywhere(verb: &str, prepare: &str, each: impl Fn(&Scene, &str)) {
    let Some(scene) = Scene::new() else { return };
    scene.run(prepare, "first");
    let Some(faults) = Faults::points(&scene.call(verb)) else {
        return;
    };
    scene.run("destroy", "first");
    let sample = Sample::of_this_run();
    let mut killed = 0;
    let points: Vec<usize> = faults.mortal().collect();
    assert!(points.len() > 20, "{points:?}");
    for k in points.into_iter().filter(|k| sample.has(*k)) {
        scene.run(prepare, "before");
        let struck = faults.kill_at(k);
        killed += usize::from(struck.hit);
        let when = format!("{verb} was killed at {:?}", faults.list()[k]);
        each(&scene, &when);
        scene.run("destroy", &when);
        scene.snapshot().assert_same_as(&scene.before);
    }
    assert!(killed > 0);
}

#[test]
fn after_an_apply_that_was_killed_anywhere_the_next_one_makes_all_as_the_file_says() {
    kill_everywhere("apply", "destroy", |scene, when| {
        scene.run("apply", when);
        scene.run("check", when);
        scene
            .host
            .sh("ip netns exec lab-r1 ping -c1 -W2 10.0.0.2 >/dev/null");
    });
}

#[test]
fn after_an_apply_that_was_killed_anywhere_destroy_leaves_nothing() {
    kill_everywhere("apply", "destroy", |_, _| {});
}

#[test]
fn after_a_destroy_that_was_killed_anywhere_the_next_one_leaves_nothing() {
    kill_everywhere("destroy", "apply", |_, _| {});
}

#[test]
fn after_a_destroy_that_was_killed_anywhere_apply_makes_all_as_the_file_says() {
    kill_everywhere("destroy", "apply", |scene, when| {
        scene.run("apply", when);
        scene.run("check", when);
    });
}

/// Where a system call fails once: whatever `verb` then says of itself is so.
fn fail_everywhere(call: impl Fn(&Scene) -> Call, undo: impl Fn(&Scene, &str)) {
    let Some(scene) = Scene::new() else { return };
    let Some(faults) = Faults::points(&call(&scene)) else {
        return;
    };
    undo(&scene, "first");
    let sample = Sample::of_this_run();
    let mut failed = 0;
    for k in faults.fallible().filter(|k| sample.has(*k)) {
        let struck = faults.fail_at(k, "EIO");
        let when = format!("{:?} failed", faults.list()[k]);
        // What is done stays done if only saying so fails. A thread that cannot leave a namespace again ends
        // the program, as if it was killed.
        let is_unsaid = struck.outcome.stderr.contains("cannot write to stdout");
        if struck.outcome.is_success() || is_unsaid || struck.outcome.code().is_none() {
            undo(&scene, &when);
        } else {
            failed += 1;
            let words = &struck.outcome.stderr;
            assert!(!words.is_empty(), "{when} without a word");
        }
        // The file of a lock that nobody holds, and empty folders, go with the next command.
        scene.host.sh("rm -f /run/netloom/links/*.lock; \
             rmdir /run/netloom/links /run/netloom/topologies /run/netloom 2>/dev/null; true");
        let difference = scene.snapshot().difference_from(&scene.before);
        assert!(
            difference.is_empty(),
            "{when}: {difference}\n{}",
            struck.outcome
        );
    }
    assert!(failed > 0 || !sample.is_whole());
}

#[test]
fn an_apply_that_fails_anywhere_leaves_nothing() {
    fail_everywhere(
        |scene| scene.call("apply"),
        |scene, when| scene.run("destroy", when),
    );
}

#[test]
fn a_link_whose_making_fails_anywhere_leaves_nothing() {
    let add = "link add ns:blue/in1,10.0.0.1/24,fd00::1/64 host/in2,10.0.0.2/24 --rate 10mbit";
    fail_everywhere(
        |_| netloom(add),
        |_, when| {
            let outcome = netloom("link del ns:blue/in1").run();
            assert!(outcome.is_success(), "{when}: {outcome}");
        },
    );
}
