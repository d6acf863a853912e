//! One stream, one direction, one poller: noq keeps one waker per stream and direction, so a second poller would take the first
//! one's wake-up. Whoever wants more than one waiter queues them in JavaScript.
//!
//! A stream that is over lets go of noq's at once and keeps only how it ended, so that neither its memory nor the peer's stream
//! credit waits for the garbage collector.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
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

/// An open stream that we receive on. Dropped unread, noq stops it with code 0.
pub struct Reading {
    stream: noq::RecvStream,
    /// Taken from noq and not read yet.
    held: VecDeque<Bytes>,
    /// How it ended behind what is held. Latched: asked once more, noq would call a stream that was reset finished.
    ended: Option<Ended>,
}

impl Reading {
    pub fn new(stream: noq::RecvStream) -> Self {
        Self {
            stream,
            held: VecDeque::new(),
            ended: None,
        }
    }

    /// Takes from noq some of what is there, as it is. False: there is nothing yet.
    fn take(&mut self, context: &mut Context<'_>) -> bool {
        let mut chunks: [Bytes; 16] = Default::default();
        let polled = pin!(self.stream.read_many_chunks(&mut chunks)).poll(context);
        match polled {
            Poll::Pending => return false,
            Poll::Ready(Ok(Some(count))) => self.held.extend(chunks.into_iter().take(count)),
            Poll::Ready(Ok(None)) => self.ended = Some(Ended::FINISHED),
            Poll::Ready(Err(error)) => self.ended = Some(read_error(error)),
        }
        true
    }

    /// Whether there is something to read, the end counted.
    fn readable(&mut self, context: &mut Context<'_>) -> bool {
        !self.held.is_empty() || self.ended.is_some() || self.take(context)
    }

    /// Fills `into`, which is not empty, from the front.
    fn read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize, Ended>> {
        let held = self.read_held(into);
        if held == into.len() {
            return Poll::Ready(Ok(held));
        }
        if let Some(ended) = &self.ended {
            return Poll::Ready(if held > 0 { Ok(held) } else { Err(ended.clone()) });
        }
        // Where there is something already, nobody waits.
        let mut nobody = Context::from_waker(Waker::noop());
        let context = if held > 0 { &mut nobody } else { context };
        let ended = match self.stream.poll_read(context, &mut into[held..]) {
            Poll::Pending if held > 0 => return Poll::Ready(Ok(held)),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => Ended::FINISHED,
            Poll::Ready(Ok(read)) => return Poll::Ready(Ok(held + read)),
            Poll::Ready(Err(error)) => read_error(error),
        };
        if held == 0 {
            return Poll::Ready(Err(ended));
        }
        self.ended = Some(ended);
        Poll::Ready(Ok(held))
    }

    fn read_held(&mut self, into: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(chunk) = self.held.front_mut() {
            let room = &mut into[filled..];
            let step = room.len().min(chunk.len());
            room[..step].copy_from_slice(&chunk[..step]);
            filled += step;
            if step < chunk.len() {
                chunk.advance(step);
                break;
            }
            self.held.pop_front();
        }
        filled
    }

    /// Copies a stream of which nothing was read to the front of `into` if it is here whole, up to its clean end: how many bytes.
    /// Else nothing of it is lost.
    pub fn read_whole(&mut self, into: &mut [u8]) -> Option<usize> {
        // It is nobody's yet who could wait.
        let mut nobody = Context::from_waker(Waker::noop());
        let bytes = loop {
            let bytes: usize = self.held.iter().map(Bytes::len).sum();
            if bytes > into.len() || self.ended.is_some() {
                break bytes;
            }
            if !self.take(&mut nobody) {
                return None;
            }
        };
        let whole = bytes <= into.len() && self.ended.as_ref().is_some_and(Ended::is_finished);
        whole.then(|| self.read_held(into))
    }
}

fn read_error(error: noq::ReadError) -> Ended {
    match error {
        noq::ReadError::Reset(code) => Ended::reset(code),
        noq::ReadError::ClosedStream => Ended::OURS,
        _ => Ended::LOST,
    }
}

enum RecvState {
    Open(Reading),
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

    /// One try of what waits for bytes.
    fn attempt<T>(&self, attempt: impl FnOnce(&mut Reading, &mut Context<'_>) -> Poll<T>) -> Result<Poll<T>, Ended> {
        match &mut *self.state.borrow_mut() {
            RecvState::Over(ended) => Err(ended.clone()),
            RecvState::Open(reading) => {
                let mut signals = self.signals.borrow_mut();
                let mut context = Context::from_waker(signals.waker(READABLE));
                let polled = attempt(reading, &mut context);
                if polled.is_ready() {
                    signals.answered(READABLE);
                }
                Ok(polled)
            }
        }
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
    pub fn new(reading: Reading, connection: &Rc<Shared>) -> Self {
        let id = VarInt::from(reading.stream.id()).into_inner();
        let receiver = Rc::new(Receiver {
            state: RefCell::new(RecvState::Open(reading)),
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
        let into = &mut into.0[..length];
        let read = |reading: &mut Reading, context: &mut Context<'_>| match into {
            [] => Poll::Ready(Ok(0)),
            into => reading.read(context, into),
        };
        let answer = |ended: &Ended| if ended.is_finished() { END } else { OVER };
        match self.receiver.attempt(read) {
            Err(ended) => answer(&ended),
            Ok(Poll::Pending) => BLOCKED,
            Ok(Poll::Ready(Ok(read))) => read as i32,
            Ok(Poll::Ready(Err(ended))) => {
                let answer = answer(&ended);
                self.receiver.end(ended);
                answer
            }
        }
    }

    #[napi(catch_unwind)]
    pub fn readable(&self) -> bool {
        let look = |reading: &mut Reading, context: &mut Context<'_>| match reading.readable(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        };
        !matches!(self.receiver.attempt(look), Ok(Poll::Pending))
    }

    #[napi(catch_unwind)]
    pub fn stop(&self, code: Code) {
        let ended = {
            let RecvState::Open(reading) = &mut *self.receiver.state.borrow_mut() else {
                return;
            };
            // An error means that it is over already.
            let _ = reading.stream.stop(code.0);
            Ended::OURS
        };
        self.receiver.end(ended);
    }

    #[napi(catch_unwind)]
    pub fn ended(&self) -> Option<Ended> {
        match &*self.receiver.state.borrow() {
            RecvState::Over(ended) => Some(ended.clone()),
            RecvState::Open(_) => None,
        }
    }
}
