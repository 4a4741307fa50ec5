//! A table and queues that can be interrupted before and after everything they do, and fail as they are told.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use clientele_flow::memory::InMemoryStorage;
use clientele_flow::{
    CurrentItem, PendingCleanup, PendingCleanupPage, PutResult, Queue, QueueError, Queues, Table, TableError,
};
use clientele_model::Item;

use crate::history::can_hold;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Port {
    Put,
    Clear,
    PendingCleanups,
    CurrentItem,
    Send(Queue),
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It has no effect, and fails.
    FailsBefore,
    /// It has its effect, and fails.
    FailsAfter,
    /// It has no effect, and does not return.
    HangsBefore,
    /// It has its effect, and does not return.
    HangsAfter,
    /// It succeeds, so much later.
    Late(Duration),
    /// It succeeds, after so many others had their turn.
    Slow(u8),
}

impl Fault {
    /// The faults that an actor cannot just wait for to pass.
    pub(crate) const LASTING: [Self; 4] = [Self::FailsBefore, Self::FailsAfter, Self::HangsBefore, Self::HangsAfter];
}

/// Which call, counted from 0, has which fault.
type Plan = Box<dyn FnMut(usize, Port) -> Option<Fault> + Send>;

/// The ports of one actor. Clones share the plan and the count of calls.
#[derive(Clone)]
pub(crate) struct Faulty {
    memory: InMemoryStorage,
    course: Arc<Mutex<Course>>,
}

struct Course {
    calls: usize,
    plan: Plan,
    takes_turns: bool,
    /// How many calls are about to have their effect.
    imminent: usize,
    /// All that the actor was told, if somebody wants to know.
    heard: Option<DefaultHasher>,
}

impl Faulty {
    pub(crate) fn new(
        memory: &InMemoryStorage,
        plan: impl FnMut(usize, Port) -> Option<Fault> + Send + 'static,
    ) -> Self {
        let course = Course { calls: 0, plan: Box::new(plan), takes_turns: true, imminent: 0, heard: None };
        Self { memory: memory.clone(), course: Arc::new(Mutex::new(course)) }
    }

    /// Interruptible, and without a fault.
    pub(crate) fn sound(memory: &InMemoryStorage) -> Self {
        Self::new(memory, |_, _| None)
    }

    /// Without a fault, and not to be interrupted: for all that is only the way to what a proof is about.
    pub(crate) fn prompt(memory: &InMemoryStorage) -> Self {
        let ports = Self::sound(memory);
        ports.course().takes_turns = false;
        ports
    }

    /// As `sound`, and what is heard is remembered.
    pub(crate) fn overheard(memory: &InMemoryStorage) -> Self {
        let ports = Self::sound(memory);
        ports.course().heard = Some(DefaultHasher::new());
        ports
    }

    /// With faults in these calls.
    pub(crate) fn at(memory: &InMemoryStorage, faults: Vec<(usize, Fault)>) -> Self {
        Self::new(memory, move |call, _| faults.iter().find(|(at, _)| *at == call).map(|(_, fault)| *fault))
    }

    /// With the same fault in every call of some ports.
    pub(crate) fn always(memory: &InMemoryStorage, fault: Fault, has_it: fn(Port) -> bool) -> Self {
        Self::new(memory, move |_, port| has_it(port).then_some(fault))
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.course().calls
    }

    /// Whether the next step of the actor can be noticed by others. Else it only takes what it was told.
    pub(crate) fn is_about_to_act(&self) -> bool {
        self.course().imminent > 0
    }

    /// A number for all that was heard so far, in its order.
    pub(crate) fn heard(&self) -> u64 {
        self.course().heard.as_ref().map_or(0, DefaultHasher::finish)
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap()
    }

    /// A call: others may act before it has its effect, and after.
    async fn call<T: Debug + Send, E: Debug + Send>(
        &self,
        port: Port,
        effect: impl Future<Output = Result<T, E>> + Send,
        failure: impl FnOnce(String) -> E + Send,
    ) -> Result<T, E> {
        let fault = self.fault(port);
        self.course().imminent += 1;
        self.turn().await;
        self.course().imminent -= 1;
        match fault {
            Some(Fault::FailsBefore) => return self.hear(port, Err(failure("down".to_owned()))),
            Some(Fault::HangsBefore) => std::future::pending().await,
            Some(Fault::Late(time)) => tokio::time::sleep(time).await,
            Some(Fault::Slow(turns)) => turns_of_others(turns).await,
            Some(Fault::FailsAfter | Fault::HangsAfter) | None => {}
        }
        let result = effect.await;
        self.turn().await;
        match fault {
            Some(Fault::FailsAfter) => self.hear(port, Err(failure("cut off".to_owned()))),
            Some(Fault::HangsAfter) => std::future::pending().await,
            _ => self.hear(port, result),
        }
    }

    async fn turn(&self) {
        let takes_turns = self.course().takes_turns;
        if takes_turns {
            turn().await;
        }
    }

    fn fault(&self, port: Port) -> Option<Fault> {
        let mut course = self.course();
        let call = course.calls;
        course.calls += 1;
        (course.plan)(call, port)
    }

    fn hear<R: Debug>(&self, port: Port, result: R) -> R {
        if let Some(heard) = &mut self.course().heard {
            (port, format!("{result:?}")).hash(heard);
        }
        result
    }
}

impl Table for Faulty {
    async fn put(&self, item: &Item) -> Result<PutResult, TableError> {
        let effect = async {
            if can_hold(item) { self.memory.put(item).await } else { Err(TableError::Unstorable("too big".to_owned())) }
        };
        self.call(Port::Put, effect, TableError::Unavailable).await
    }

    async fn clear_cleanup(&self, pk: &str, rank: &str) -> Result<Option<f64>, TableError> {
        self.call(Port::Clear, self.memory.clear_cleanup(pk, rank), TableError::Unavailable).await
    }

    async fn pending_cleanups(&self, after: Option<PendingCleanup>) -> Result<PendingCleanupPage, TableError> {
        self.call(Port::PendingCleanups, self.memory.pending_cleanups(after), TableError::Unavailable).await
    }

    async fn current_item(&self, pk: &str) -> Result<Option<CurrentItem>, TableError> {
        self.call(Port::CurrentItem, self.memory.current_item(pk), TableError::Unavailable).await
    }
}

impl Queues for Faulty {
    async fn send(&self, queue: Queue, provider: &str, message: &str) -> Result<(), QueueError> {
        let effect = self.memory.send(queue, provider, message);
        self.call(Port::Send(queue), effect, |why| QueueError { queue, why }).await
    }
}

/// Lets others have their turn, once.
pub(crate) fn turn() -> impl Future<Output = ()> + Send {
    Turn { is_over: false }
}

async fn turns_of_others(turns: u8) {
    for _ in 0..turns {
        turn().await;
    }
}

/// tokio's own would be put off by its scheduler, and not be the same number of polls every time.
struct Turn {
    is_over: bool,
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_over {
            return Poll::Ready(());
        }
        self.is_over = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
