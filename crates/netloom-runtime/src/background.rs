//! Operations for programs that must not block: on a thread of their own, awaited as a future.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use netloom_invoke::Cancellation;

use crate::Cni;

/// Something that runs on a thread of its own; its output is had by `.await`, with any executor.
///
/// Dropping it cancels what runs and waits for nothing: plugins are killed soon after. As operations on one container
/// must not overlap, whoever goes on with the container calls [`Background::cancel`] and awaits the
/// end instead.
#[must_use = "dropping it cancels the operation"]
pub struct Background<T> {
    shared: Arc<Mutex<State<T>>>,
    cancellation: Cancellation,
}

enum State<T> {
    Running(Option<Waker>),
    Done(thread::Result<T>),
    Taken,
}

impl Cni {
    /// Does `work` with these networks on a thread of its own, and so never blocks an executor.
    ///
    /// ```no_run
    /// use netloom_runtime::{Cni, RuntimeConf, load};
    /// use std::time::Duration;
    ///
    /// # async fn attach() -> Result<(), Box<dyn std::error::Error>> {
    /// let cni = Cni::new(["/opt/cni/bin"]).within(Duration::from_secs(60));
    /// let network = load::find_by_name("/etc/cni/net.d", "blue")?;
    /// let rt = RuntimeConf::new("0d5ee8", "/var/run/netns/blue", "eth0");
    /// let result = cni.in_background(move |cni| cni.add(&network, &rt))?.await?;
    /// println!("{:?}", result.ips);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When there can be no further thread or descriptor; nothing was done then.
    ///
    /// # Panics
    /// Awaiting panics when `work` did.
    pub fn in_background<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cni) -> T + Send + 'static,
    ) -> io::Result<Background<T>> {
        let cancellation = Cancellation::new()?;
        let cni = self.cancelled_by(&cancellation);
        let shared = Arc::new(Mutex::new(State::Running(None)));
        let theirs = shared.clone();
        thread::Builder::new()
            .name("cni".to_owned())
            .spawn(move || {
                let done = catch_unwind(AssertUnwindSafe(|| work(&cni)));
                let before = std::mem::replace(&mut *lock(&theirs), State::Done(done));
                if let State::Running(Some(waker)) = before {
                    waker.wake();
                }
            })?;
        Ok(Background {
            shared,
            cancellation,
        })
    }
}

impl<T> Background<T> {
    /// Cancels what runs: the plugin is killed with its process group, none is started any more. The
    /// output still comes, usually an error that says so.
    pub fn cancel(&self) {
        self.cancellation.cancel();
    }
}

impl<T> Future for Background<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = lock(&self.shared);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(Ok(output)) => Poll::Ready(output),
            State::Done(Err(panic)) => {
                drop(state);
                resume_unwind(panic)
            }
            State::Running(_) => {
                *state = State::Running(Some(context.waker().clone()));
                Poll::Pending
            }
            State::Taken => Poll::Pending,
        }
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.cancellation.cancel();
    }
}

impl<T> fmt::Debug for Background<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").finish_non_exhaustive()
    }
}

/// Nobody panics while holding it.
fn lock<T>(shared: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
