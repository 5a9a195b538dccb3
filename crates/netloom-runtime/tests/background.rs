//! Operations bounded by their caller, and on threads of their own.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::fs::OpenOptions;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use netloom_runtime::{Cancellation, Error};
use rustix::fs::{CWD, Mode};
use support::{Host, chain, host_with_chain, rt};

/// An executor of one future: no thread but the test's, which sleeps until it is woken.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// The chain's second plugin opens a fifo, tells so, and waits for ever.
fn host_that_hangs() -> Host {
    let host = host_with_chain();
    rustix::fs::mkfifoat(CWD, host.path("fifo"), Mode::RWXU).unwrap();
    host.script(
        "two",
        "#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 0\necho hanging >&2\ncat ${0%/*}/../fifo\nexec sleep 1000\n",
    );
    host
}

/// Returns when the second plugin runs.
fn second_runs(host: &Host) {
    drop(
        OpenOptions::new()
            .write(true)
            .open(host.path("fifo"))
            .unwrap(),
    );
}

fn cause(error: &Error) -> &netloom_invoke::Error {
    assert!(std::error::Error::source(error).is_some());
    error.of_execution().unwrap()
}

#[test]
fn what_is_awaited_comes_and_the_executor_is_free_meanwhile() {
    let host = host_with_chain();
    let work = host
        .cni()
        .in_background(|cni| cni.add(&chain("net", "1.1.0"), &rt("c1")));
    let result = block_on(work.unwrap()).unwrap();
    assert_eq!(result.ips.len(), 2);

    // A poll returns at once, though the plugin hangs.
    let host = host_that_hangs();
    let work = host
        .cni()
        .in_background(|cni| cni.add(&chain("net", "1.1.0"), &rt("c1")));
    let mut work = pin!(work.unwrap());
    let mut context = Context::from_waker(Waker::noop());
    second_runs(&host);
    assert!(work.as_mut().poll(&mut context).is_pending());
    work.cancel();
    let error = block_on(work).unwrap_err();
    assert!(
        matches!(cause(&error), netloom_invoke::Error::Cancelled { .. }),
        "{error}"
    );
    assert_eq!(cause(&error).stderr(), Some("hanging\n"));
    assert_eq!(error.code(), 11);
}

#[test]
fn a_future_that_is_dropped_ends_its_plugin() {
    let host = host_that_hangs();
    let (hand_over, ended) = std::sync::mpsc::channel();
    let work = host.cni().in_background(move |cni| {
        let done = cni.add(&chain("net", "1.1.0"), &rt("c1"));
        hand_over.send(done).unwrap();
    });
    let work = work.unwrap();
    second_runs(&host);
    drop(work);
    ended.recv().unwrap().unwrap_err();
}

#[test]
fn a_panic_of_the_work_comes_to_whoever_awaits_it() {
    let host = host_with_chain();
    let work = host.cni().in_background(|_| panic!("in the work")).unwrap();
    let awaited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| block_on(work)));
    assert_eq!(awaited.unwrap_err().downcast_ref(), Some(&"in the work"));
}

#[test]
fn a_deadline_is_that_of_the_whole_call_and_del_has_one_of_its_own() {
    let host = host_that_hangs();
    let cni = host.cni();
    let network = chain("net", "1.1.0");
    let call = thread::spawn({
        let (cni, network) = (cni.within(Duration::from_millis(300)), network.clone());
        move || cni.add(&network, &rt("c1"))
    });
    second_runs(&host);
    let error = call.join().unwrap().unwrap_err();
    assert!(
        matches!(cause(&error), netloom_invoke::Error::TimeLimit { .. }),
        "{error}"
    );
    cni.within(Duration::from_secs(60))
        .del(&network, &rt("c1"))
        .unwrap();

    host.log();
    let late = cni.until(Instant::now());
    let error = late.add(&network, &rt("c1")).unwrap_err();
    assert!(
        matches!(cause(&error), netloom_invoke::Error::NoTime { .. }),
        "{error}"
    );
    assert_eq!(host.log(), [""; 0], "nothing was executed");
}

#[test]
fn who_cancels_before_the_call_has_nothing_executed() {
    let host = host_with_chain();
    let cancellation = Cancellation::new().unwrap();
    cancellation.cancel();
    let cni = host.cni().cancelled_by(&cancellation);
    cni.add(&chain("net", "1.1.0"), &rt("c1")).unwrap_err();
    assert_eq!(host.log(), [""; 0]);
}
