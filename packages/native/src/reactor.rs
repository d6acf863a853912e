//! From wakers to JavaScript: one queue of tokens per environment and one wake-up for all that is in it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use napi::Status;
use napi::bindgen_prelude::{Float64ArraySlice, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

/// Weak: an endpoint that nobody waits on must not keep the process alive. JavaScript holds a timer while somebody waits.
type WakeUp = ThreadsafeFunction<(), (), (), Status, false, true, 0>;

/// Tokens of one object: its first one and `TOKENS - 1` more, one for each operation that can wait.
const TOKENS: u64 = 8;
/// Counted up to 2^53, which a process does not reach; a 32-bit counter would come round within a day of many streams.
static NEXT_TOKEN: AtomicU64 = AtomicU64::new(TOKENS);

struct Queue {
    ready: VecDeque<Arc<Signal>>,
    /// JavaScript was told and has not emptied the queue yet.
    told: bool,
}

pub struct Shared {
    queue: Mutex<Queue>,
    wake_up: WakeUp,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is held, and a half-done queue would still be a queue.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of one operation of one object.
pub struct Signal {
    token: u64,
    /// In the queue already: however often it is woken, it is there once, so the queue is bounded by the operations.
    queued: AtomicBool,
    reactor: Arc<Shared>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let reactor = self.reactor.clone();
        let tell = {
            let mut queue = reactor.queue();
            queue.ready.push_back(self);
            !std::mem::replace(&mut queue.told, true)
        };
        if tell {
            // Fails only when the environment is ending, and then nobody is left to be told.
            reactor.wake_up.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}

/// The wakers of one object; each is made when it is first needed.
pub struct Signals {
    first: u64,
    made: [Option<Waker>; TOKENS as usize],
    /// A bit for each operation whose last try was pending: only there somebody may wait.
    pending: u8,
    reactor: Arc<Shared>,
}

impl Signals {
    pub fn new(reactor: &Arc<Shared>) -> Self {
        let first = NEXT_TOKEN.fetch_add(TOKENS, Ordering::Relaxed);
        Self {
            first,
            made: Default::default(),
            pending: 0,
            reactor: reactor.clone(),
        }
    }

    /// What JavaScript knows the object by.
    pub fn token(&self) -> f64 {
        self.first as f64
    }

    /// The waker of the operation with this offset, for a try; `answered` says that it was not pending.
    pub fn waker(&mut self, offset: usize) -> &Waker {
        self.pending |= 1 << offset;
        self.made[offset].get_or_insert_with(|| {
            let token = self.first + offset as u64;
            Waker::from(Arc::new(Signal {
                token,
                queued: AtomicBool::new(false),
                reactor: self.reactor.clone(),
            }))
        })
    }

    /// A number that no other object of the process has.
    pub fn key(&self) -> u64 {
        self.first
    }

    /// The last try of the operation was not pending: whoever tried knows, and nobody waits.
    pub fn answered(&mut self, offset: usize) {
        self.pending &= !(1 << offset);
    }

    /// Calls whoever waits for the operation.
    pub fn wake(&self, offset: usize) {
        if let Some(waker) = &self.made[offset]
            && self.pending & (1 << offset) != 0
        {
            waker.wake_by_ref();
        }
    }

    pub fn wake_all(&self) {
        (0..self.made.len()).for_each(|offset| self.wake(offset));
    }
}

impl Drop for Signals {
    /// What they belong to is gone, so whoever still waits for it would wait for ever.
    fn drop(&mut self) {
        self.wake_all();
    }
}

/// The queue of one environment (the main thread or a worker).
#[napi]
pub struct Reactor {
    shared: Arc<Shared>,
}

impl Reactor {
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

#[napi]
impl Reactor {
    /// `wake_up` is called, soon, when the queue is no longer empty.
    #[napi(constructor, catch_unwind)]
    pub fn new(wake_up: Function<(), ()>) -> napi::Result<Self> {
        let wake_up = wake_up
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .callee_handled::<false>()
            .build()?;
        let queue = Mutex::new(Queue {
            ready: VecDeque::new(),
            told: false,
        });
        Ok(Self {
            shared: Arc::new(Shared { queue, wake_up }),
        })
    }

    /// Moves up to `out.length` tokens into `out`: how many. It must be called again until that is fewer than fit.
    #[napi(catch_unwind)]
    pub fn take_ready(&self, mut out: Float64ArraySlice) -> u32 {
        // SAFETY: this is the thread of the array, and nothing else runs on it meanwhile.
        let out = unsafe { out.as_mut() };
        let mut queue = self.shared.queue();
        let taken = queue.ready.len().min(out.len());
        for (slot, signal) in out.iter_mut().zip(queue.ready.drain(..taken)) {
            // Before JavaScript tries again: what happens from here on queues it anew.
            signal.queued.store(false, Ordering::Release);
            *slot = signal.token as f64;
        }
        if queue.ready.is_empty() {
            queue.told = false;
        }
        taken as u32
    }
}
