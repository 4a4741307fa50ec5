//! An event bus that answers as a test says.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use clientele_flow::{BusError, EventBus, EventResult};
use clientele_model::ChangeEvent;
use tokio::time::Instant;

/// A bus that gives these answers one after the other, and then accepts everything.
#[derive(Default)]
pub(crate) struct ScriptedBus {
    answers: Mutex<VecDeque<Answer>>,
    /// How long a call takes.
    takes: Duration,
    /// The ids of the events of each call, and when it was made.
    calls: Mutex<Vec<(Vec<String>, Instant)>>,
}

/// An answer to a call.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A letter per event: `a` accepted, `r` refused, `f` failed.
    Results(&'static str),
    Unavailable,
    Refused,
}

impl ScriptedBus {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() }
    }

    /// The same bus, whose calls take this long.
    pub(crate) fn taking(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }

    /// The ids of the events of each call, and when it was made.
    pub(crate) fn made(&self) -> Vec<(Vec<String>, Instant)> {
        self.calls.lock().unwrap().clone()
    }

    /// The ids of the events of each call.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(ids, _)| ids.join(" ")).collect()
    }
}

impl EventBus for ScriptedBus {
    async fn put(&self, events: &[ChangeEvent]) -> Result<Vec<EventResult>, BusError> {
        let ids = events.iter().map(|event| event.id.clone()).collect();
        self.calls.lock().unwrap().push((ids, Instant::now()));
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        let result = |letter| match letter {
            'a' => EventResult::Accepted,
            'r' => EventResult::Refused("malformed".to_owned()),
            _ => EventResult::Failed("throttled".to_owned()),
        };
        match self.answers.lock().unwrap().pop_front() {
            None => Ok(vec![EventResult::Accepted; events.len()]),
            Some(Answer::Results(letters)) => Ok(letters.chars().map(result).collect()),
            Some(Answer::Unavailable) => Err(BusError::Unavailable("no answer".to_owned())),
            Some(Answer::Refused) => Err(BusError::Refused("too large".to_owned())),
        }
    }
}
