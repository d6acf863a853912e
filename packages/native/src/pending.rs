//! Something that a task does and that ends once, with a value or a failure.

use std::cell::RefCell;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::task::AbortHandle;

use crate::errors::Failure;
use crate::reactor::{self, Signals};
use crate::start_runtime;

const DONE: usize = 0;

enum Outcome<T> {
    Running,
    Done(T),
    Taken,
    Failed(Failure),
}

pub struct Pending<T> {
    outcome: Arc<Mutex<Outcome<T>>>,
    signals: RefCell<Signals>,
    /// None where there are no threads for it.
    task: Option<AbortHandle>,
}

/// Tells JavaScript when the task is gone, however it went: a task that panics must not leave somebody waiting for ever.
struct Ending<T> {
    outcome: Arc<Mutex<Outcome<T>>>,
    waker: Waker,
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        settle(
            &self.outcome,
            Outcome::Failed(Failure::new("other", "the attempt broke off")),
        );
        self.waker.wake_by_ref();
    }
}

fn lock<T>(outcome: &Mutex<Outcome<T>>) -> MutexGuard<'_, Outcome<T>> {
    outcome.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first one counts.
fn settle<T>(outcome: &Mutex<Outcome<T>>, settled: Outcome<T>) {
    let mut outcome = lock(outcome);
    if matches!(*outcome, Outcome::Running) {
        *outcome = settled;
    }
}

impl<T: Send + 'static> Pending<T> {
    pub fn start(
        reactor: &Arc<reactor::Shared>,
        attempt: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Self {
        let outcome = Arc::new(Mutex::new(Outcome::Running));
        let mut signals = Signals::new(reactor);
        let ending = Ending {
            outcome: outcome.clone(),
            waker: signals.waker(DONE).clone(),
        };
        let task = match start_runtime() {
            Ok(runtime) => {
                let task = runtime.spawn(async move {
                    let settled = attempt.await.map_or_else(Outcome::Failed, Outcome::Done);
                    settle(&ending.outcome, settled);
                });
                Some(task.abort_handle())
            }
            Err(error) => {
                let why = format_args!("the threads of the endpoint do not start: {error}");
                settle(&outcome, Outcome::Failed(Failure::new("other", why)));
                None
            }
        };
        Self {
            outcome,
            signals: RefCell::new(signals),
            task,
        }
    }

    pub fn token(&self) -> f64 {
        self.signals.borrow().token()
    }

    /// The value, once; `None` while it runs; the other side when there is none any more.
    pub fn poll(&self) -> Result<Option<T>, ()> {
        let mut outcome = lock(&self.outcome);
        match std::mem::replace(&mut *outcome, Outcome::Taken) {
            Outcome::Done(value) => Ok(Some(value)),
            Outcome::Running => {
                *outcome = Outcome::Running;
                Ok(None)
            }
            over => {
                *outcome = over;
                Err(())
            }
        }
    }

    pub fn failure(&self) -> Option<Failure> {
        match &*lock(&self.outcome) {
            Outcome::Failed(failure) => Some(failure.clone()),
            _ => None,
        }
    }

    /// Gives it up. A value that nobody took is dropped.
    pub fn cancel(&self) {
        let dropped = {
            let mut outcome = lock(&self.outcome);
            match *outcome {
                Outcome::Running | Outcome::Done(_) => {
                    std::mem::replace(&mut *outcome, Outcome::Failed(Failure::cancelled()))
                }
                Outcome::Taken | Outcome::Failed(_) => return,
            }
        };
        drop(dropped);
        self.abort();
        self.signals.borrow().wake(DONE);
    }
}

impl<T> Pending<T> {
    fn abort(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.abort();
    }
}
