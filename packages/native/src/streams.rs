//! One stream, one direction, one poller: noq keeps one waker per stream and direction, so a second poller would take the first
//! one's wake-up. Whoever wants more than one waiter queues them in JavaScript.
//!
//! A stream that is over lets go of noq's at once and keeps only how it ended, so that neither its memory nor the peer's stream
//! credit waits for the garbage collector.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use iroh::endpoint::{StoppedError, VarInt};
use napi_derive::napi;

use crate::arguments::{Code, Input, Output, Priority};
use crate::connection::{Lose, Shared};
use crate::errors::Ended;
use crate::reactor::Signals;
use crate::{BLOCKED, END, OVER};

type Settling = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>>>>;

const WRITABLE: usize = 0;
const SETTLED: usize = 1;

/// An open stream that we send on.
struct Sending {
    stream: noq::SendStream,
    finished: bool,
    settling: Option<Settling>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        // noq would end it cleanly: what was cut off would look complete to the peer.
        if !self.finished {
            let _ = self.stream.reset(VarInt::from_u32(0));
        }
    }
}

enum SendState {
    Open(Sending),
    Over(Ended),
}

struct Sender {
    state: RefCell<SendState>,
    signals: RefCell<Signals>,
    connection: Rc<Shared>,
}

impl Sender {
    /// The first end counts. Both operations are called: noq wakes nobody for what we did ourselves, such as a reset.
    fn end(&self, ended: Ended) {
        let mut state = self.state.borrow_mut();
        if let SendState::Open(_) = *state {
            *state = SendState::Over(ended);
        }
        drop(state);
        let signals = self.signals.borrow();
        signals.wake_all();
        self.connection.forget(signals.key());
    }
}

impl Lose for Sender {
    fn lose(&self) {
        self.end(Ended::LOST);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.connection.forget(self.signals.borrow().key());
    }
}

#[napi]
pub struct SendStream {
    id: u64,
    sender: Rc<Sender>,
}

impl SendStream {
    pub fn new(stream: noq::SendStream, connection: &Rc<Shared>) -> Self {
        let id = VarInt::from(stream.id()).into_inner();
        let sender = Rc::new(Sender {
            state: RefCell::new(SendState::Open(Sending {
                stream,
                finished: false,
                settling: None,
            })),
            signals: RefCell::new(Signals::new(connection.reactor())),
            connection: connection.clone(),
        });
        let key = sender.signals.borrow().key();
        let weak = Rc::downgrade(&sender);
        connection.hold(key, weak);
        Self { id, sender }
    }

    /// The peer wants no more. RFC 9000 section 3.5: it is answered by a reset, which gives the peer its stream credit back.
    fn stopped(sending: &mut Sending, code: VarInt) -> Ended {
        let _ = sending.stream.reset(code);
        Ended::stopped(code)
    }
}

#[napi]
impl SendStream {
    #[napi(getter, catch_unwind)]
    pub fn token(&self) -> f64 {
        self.sender.signals.borrow().token()
    }

    #[napi(getter, catch_unwind)]
    pub fn id(&self) -> f64 {
        self.id as f64
    }

    #[napi(catch_unwind)]
    pub fn try_write(&self, bytes: Input) -> i32 {
        // What noq takes in one call is bounded by its send window; this only keeps the result an `i32`.
        let bytes = &bytes.0[..bytes.0.len().min(i32::MAX as usize)];
        let ended = {
            let SendState::Open(sending) = &mut *self.sender.state.borrow_mut() else {
                return OVER;
            };
            if sending.finished {
                return OVER;
            }
            if bytes.is_empty() {
                return 0;
            }
            let mut signals = self.sender.signals.borrow_mut();
            let mut context = Context::from_waker(signals.waker(WRITABLE));
            let polled = Pin::new(&mut sending.stream).poll_write(&mut context, bytes);
            if polled.is_ready() {
                signals.answered(WRITABLE);
            }
            match polled {
                Poll::Pending => return BLOCKED,
                Poll::Ready(Ok(written)) => return written as i32,
                Poll::Ready(Err(noq::WriteError::Stopped(code))) => Self::stopped(sending, code),
                Poll::Ready(Err(noq::WriteError::ClosedStream)) => Ended::OURS,
                Poll::Ready(Err(_)) => Ended::LOST,
            }
        };
        self.sender.end(ended);
        OVER
    }

    #[napi(catch_unwind)]
    pub fn finish(&self) {
        let SendState::Open(sending) = &mut *self.sender.state.borrow_mut() else {
            return;
        };
        if sending.finished {
            return;
        }
        // An error means that it is over already, which `settled` finds out.
        let _ = sending.stream.finish();
        sending.finished = true;
        self.sender.signals.borrow().wake(WRITABLE);
    }

    #[napi(catch_unwind)]
    pub fn reset(&self, code: Code) {
        let ended = {
            let SendState::Open(sending) = &mut *self.sender.state.borrow_mut() else {
                return;
            };
            match sending.stream.reset(code.0) {
                // Too late: the peer has everything.
                Err(_) if sending.finished => Ended::FINISHED,
                _ => Ended::OURS,
            }
        };
        self.sender.end(ended);
    }

    #[napi(catch_unwind)]
    pub fn set_priority(&self, priority: Priority) {
        if let SendState::Open(sending) = &*self.sender.state.borrow() {
            // An error means that it is over already.
            let _ = sending.stream.set_priority(priority.0);
        }
    }

    #[napi(catch_unwind)]
    pub fn settled(&self) -> i32 {
        let answer = |ended: &Ended| if ended.is_finished() { END } else { OVER };
        let ended = match &mut *self.sender.state.borrow_mut() {
            SendState::Over(ended) => return answer(ended),
            SendState::Open(sending) => {
                let stream = &sending.stream;
                let settling = sending.settling.get_or_insert_with(|| Box::pin(stream.stopped()));
                let mut signals = self.sender.signals.borrow_mut();
                let mut context = Context::from_waker(signals.waker(SETTLED));
                let polled = settling.as_mut().poll(&mut context);
                if polled.is_ready() {
                    signals.answered(SETTLED);
                }
                match polled {
                    Poll::Pending => return BLOCKED,
                    Poll::Ready(Ok(None)) => Ended::FINISHED,
                    Poll::Ready(Ok(Some(code))) => Self::stopped(sending, code),
                    Poll::Ready(Err(_)) => Ended::LOST,
                }
            }
        };
        let answer = answer(&ended);
        self.sender.end(ended);
        answer
    }

    #[napi(catch_unwind)]
    pub fn ended(&self) -> Option<Ended> {
        match &*self.sender.state.borrow() {
            SendState::Over(ended) => Some(ended.clone()),
            SendState::Open(sending) => sending.finished.then_some(Ended::OURS),
        }
    }
}

const READABLE: usize = 0;

enum RecvState {
    /// Dropped unread, noq stops it with code 0.
    Open(noq::RecvStream),
    Over(Ended),
}

struct Receiver {
    state: RefCell<RecvState>,
    signals: RefCell<Signals>,
    connection: Rc<Shared>,
}

impl Receiver {
    fn end(&self, ended: Ended) {
        let mut state = self.state.borrow_mut();
        if let RecvState::Open(_) = *state {
            *state = RecvState::Over(ended);
        }
        drop(state);
        let signals = self.signals.borrow();
        signals.wake_all();
        self.connection.forget(signals.key());
    }
}

impl Lose for Receiver {
    fn lose(&self) {
        self.end(Ended::LOST);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.connection.forget(self.signals.borrow().key());
    }
}

#[napi]
pub struct RecvStream {
    id: u64,
    receiver: Rc<Receiver>,
}

impl RecvStream {
    pub fn new(stream: noq::RecvStream, connection: &Rc<Shared>) -> Self {
        let id = VarInt::from(stream.id()).into_inner();
        let receiver = Rc::new(Receiver {
            state: RefCell::new(RecvState::Open(stream)),
            signals: RefCell::new(Signals::new(connection.reactor())),
            connection: connection.clone(),
        });
        let key = receiver.signals.borrow().key();
        let weak = Rc::downgrade(&receiver);
        connection.hold(key, weak);
        Self { id, receiver }
    }
}

#[napi]
impl RecvStream {
    #[napi(getter, catch_unwind)]
    pub fn token(&self) -> f64 {
        self.receiver.signals.borrow().token()
    }

    #[napi(getter, catch_unwind)]
    pub fn id(&self) -> f64 {
        self.id as f64
    }

    #[napi(catch_unwind)]
    pub fn try_read(&self, into: Output) -> i32 {
        let length = into.0.len().min(i32::MAX as usize);
        let answer = |ended: &Ended| if ended.is_finished() { END } else { OVER };
        let ended = match &mut *self.receiver.state.borrow_mut() {
            RecvState::Over(ended) => return answer(ended),
            RecvState::Open(_) if length == 0 => return 0,
            RecvState::Open(stream) => {
                let mut signals = self.receiver.signals.borrow_mut();
                let mut context = Context::from_waker(signals.waker(READABLE));
                let polled = stream.poll_read(&mut context, &mut into.0[..length]);
                if polled.is_ready() {
                    signals.answered(READABLE);
                }
                match polled {
                    Poll::Pending => return BLOCKED,
                    Poll::Ready(Ok(0)) => Ended::FINISHED,
                    Poll::Ready(Ok(read)) => return read as i32,
                    // Latched: asked once more, noq would call a stream that was reset finished.
                    Poll::Ready(Err(noq::ReadError::Reset(code))) => Ended::reset(code),
                    Poll::Ready(Err(noq::ReadError::ClosedStream)) => Ended::OURS,
                    Poll::Ready(Err(_)) => Ended::LOST,
                }
            }
        };
        let answer = answer(&ended);
        self.receiver.end(ended);
        answer
    }

    #[napi(catch_unwind)]
    pub fn stop(&self, code: Code) {
        if let RecvState::Open(stream) = &mut *self.receiver.state.borrow_mut() {
            // An error means that it is over already.
            let _ = stream.stop(code.0);
        }
        self.receiver.end(Ended::OURS);
    }

    #[napi(catch_unwind)]
    pub fn ended(&self) -> Option<Ended> {
        match &*self.receiver.state.borrow() {
            RecvState::Over(ended) => Some(ended.clone()),
            RecvState::Open(_) => None,
        }
    }
}
