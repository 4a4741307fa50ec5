//! Futures side by side, one poll at a time; and futures that die.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
}

/// Runs a future on a clock that moves only when everything waits for it.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    // Unconstrained, else tokio would interrupt where no proof knows of it.
    RUNTIME.with(|runtime| runtime.block_on(tokio::task::unconstrained(future)))
}

/// If it panics, tells how to have that again.
pub(crate) fn replayable<T>(how: impl FnOnce() -> String, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        let text = text.or(cause.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
        panic!("{text}\nTo have it again: {}", how())
    })
}

/// Polls a future so often, then drops it: its process died. Gives its result if it was ready by then.
pub(crate) async fn dies_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
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

/// Something under way that is polled when its turn comes. To drop it is to kill it.
pub(crate) struct Actor<'a> {
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    bell: Arc<Bell>,
    waker: Waker,
}

impl<'a> Actor<'a> {
    /// Of which `outer` hears when it can go on.
    pub(crate) fn new(outer: &Waker, future: impl Future<Output = ()> + 'a) -> Self {
        let bell = Arc::new(Bell { is_rung: AtomicBool::new(true), outer: outer.clone() });
        Self { future: Box::pin(future), waker: bell.clone().into(), bell }
    }

    /// Whether it can go on, rather than wait for the clock.
    pub(crate) fn is_ready(&self) -> bool {
        self.bell.is_rung.load(Ordering::Relaxed)
    }

    /// Goes on to its next await. Whether it is done.
    pub(crate) fn step(&mut self) -> bool {
        self.bell.is_rung.store(false, Ordering::Relaxed);
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready()
    }
}

struct Bell {
    is_rung: AtomicBool,
    outer: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_rung.store(true, Ordering::Relaxed);
        self.outer.wake_by_ref();
    }
}

/// The waker of the future that asks.
pub(crate) async fn own_waker() -> Waker {
    std::future::poll_fn(|context| Poll::Ready(context.waker().clone())).await
}

/// Until one of them can go on. Meanwhile the clock moves.
pub(crate) async fn until_one_is_ready(actors: &[Actor<'_>]) {
    let is_ready = || actors.iter().any(Actor::is_ready);
    std::future::poll_fn(|_| if is_ready() { Poll::Ready(()) } else { Poll::Pending }).await;
}
