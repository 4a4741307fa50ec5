//! Concurrent futures that are polled one at a time, and futures that crash.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
}

/// Runs a future on a clock that advances only when everything waits for it.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    // Unconstrained, because tokio's cooperative budget would add interruptions that the scheduler does not control.
    RUNTIME.with(|runtime| runtime.block_on(tokio::task::unconstrained(future)))
}

/// Runs the function. If it panics, adds to the message how to reproduce the failure.
pub(crate) fn reproducible<T>(how: impl FnOnce() -> String, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        let text = text.or(cause.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
        panic!("{text}\nTo reproduce: {}", how())
    })
}

/// Polls a future up to that many times, then drops it, as if its process had crashed. Returns the result if it was ready
/// by then.
pub(crate) async fn crash_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A future that the scheduler polls when it chooses to. Dropping it is a crash.
pub(crate) struct Actor<'a> {
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    flag: Arc<WakeFlag>,
    waker: Waker,
}

impl<'a> Actor<'a> {
    /// An actor that wakes the scheduler when it can continue.
    pub(crate) fn new(scheduler: &Waker, future: impl Future<Output = ()> + 'a) -> Self {
        let flag = Arc::new(WakeFlag { is_woken: AtomicBool::new(true), scheduler: scheduler.clone() });
        Self { future: Box::pin(future), waker: flag.clone().into(), flag }
    }

    /// Whether it can continue now, rather than wait for the clock.
    pub(crate) fn is_ready(&self) -> bool {
        self.flag.is_woken.load(Ordering::Relaxed)
    }

    /// Runs to the next await. Returns whether it is done.
    pub(crate) fn step(&mut self) -> bool {
        self.flag.is_woken.store(false, Ordering::Relaxed);
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready()
    }
}

struct WakeFlag {
    is_woken: AtomicBool,
    scheduler: Waker,
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Relaxed);
        self.scheduler.wake_by_ref();
    }
}

/// The waker of the calling future.
pub(crate) async fn current_waker() -> Waker {
    std::future::poll_fn(|context| Poll::Ready(context.waker().clone())).await
}

/// Waits until one of the actors can continue. Meanwhile the clock advances.
pub(crate) async fn until_one_is_ready(actors: &[Actor<'_>]) {
    let is_ready = || actors.iter().any(Actor::is_ready);
    std::future::poll_fn(|_| if is_ready() { Poll::Ready(()) } else { Poll::Pending }).await;
}
