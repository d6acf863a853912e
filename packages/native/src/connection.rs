//! A connection: opens and accepts streams, carries datagrams, tells its paths and its end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use iroh::endpoint::{ConnectionError, PathEventStream, SendDatagramError, VarInt};
use napi::Env;
use napi::bindgen_prelude::{Either, ObjectFinalize};
use napi_derive::napi;

use crate::arguments::{Code, Input, Lengths, Output, Text, range_error, type_error};
use crate::endpoint;
use crate::errors::Close;
use crate::path::Path;
use crate::reactor::{self, Signals};
use crate::streams::{Reading, RecvStream, SendStream};
use crate::{BLOCKED, OVER, TOO_LARGE, runtime};

const ACCEPT_UNI: usize = 0;
const ACCEPT_BI: usize = 1;
const OPEN_UNI: usize = 2;
const OPEN_BI: usize = 3;
const DATAGRAM_RECEIVED: usize = 4;
const DATAGRAM_ROOM: usize = 5;
const CLOSED: usize = 6;
const PATHS: usize = 7;

/// iroh cuts the reason somewhere; this is where it certainly fits into one packet.
const MAX_REASON_BYTES: usize = 1024;
/// What the collector is told that a connection weighs: it sees only the small object in front of it.
const WEIGHT_BYTES: i64 = 64 * 1024;

/// With less room than that no further whole stream is looked for.
const WHOLE_BYTES: usize = 4096;

/// What goes with its connection when we close it.
pub trait Lose {
    /// It is over: noq's half of it is dropped, and whoever waits is called.
    fn lose(&self);
}

/// What a connection shares with its streams, which keep it open as it keeps its endpoint.
pub struct Shared {
    state: RefCell<State>,
    signals: RefCell<Signals>,
    /// Those that are not over yet. They hold noq's connection, and with it the sockets of the endpoint.
    streams: RefCell<HashMap<u64, Weak<dyn Lose>>>,
    /// A datagram of the waiting form waits for room.
    datagram_waits: Arc<AtomicBool>,
    endpoint: Rc<endpoint::Shared>,
}

enum State {
    Open(Box<Open>),
    /// Closed by us. A connection that ended otherwise stays open here: what had arrived is still to be read.
    Over {
        close: Close,
        paths: Vec<Path>,
    },
}

struct Open {
    connection: Arc<iroh::endpoint::Connection>,
    accept_uni: Waiting<Result<noq::RecvStream, ConnectionError>>,
    /// Accepted, and looked at in vain: it was not there whole.
    next_uni: Option<Reading>,
    accept_bi: Waiting<Result<Bi, ConnectionError>>,
    open_uni: Waiting<Result<noq::SendStream, ConnectionError>>,
    open_bi: Waiting<Result<Bi, ConnectionError>>,
    read_datagram: Waiting<Result<Bytes, ConnectionError>>,
    closed: Waiting<ConnectionError>,
    /// Received, and the room that JavaScript gave was too short for it.
    unread: Option<Bytes>,
    path_events: Option<PathEventStream>,
}

type Bi = (noq::SendStream, noq::RecvStream);

/// One operation that waits: iroh's future must live as long as its waker is to be called.
struct Waiting<T>(Option<Pin<Box<dyn Future<Output = T>>>>);

impl<T> Waiting<T> {
    fn poll<F>(
        &mut self,
        connection: &Arc<iroh::endpoint::Connection>,
        waker: &Waker,
        start: impl FnOnce(Arc<iroh::endpoint::Connection>) -> F,
    ) -> Poll<T>
    where
        F: Future<Output = T> + 'static,
    {
        let future = self.0.get_or_insert_with(|| Box::pin(start(connection.clone())));
        let polled = future.as_mut().poll(&mut Context::from_waker(waker));
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Shared {
    pub fn reactor(&self) -> &Arc<reactor::Shared> {
        self.endpoint.reactor()
    }

    pub fn key(&self) -> u64 {
        self.signals.borrow().key()
    }

    /// Remembers a stream, to tell it when we close.
    pub fn hold(&self, key: u64, stream: Weak<dyn Lose>) {
        self.streams.borrow_mut().insert(key, stream);
    }

    pub fn forget(&self, key: u64) {
        self.streams.borrow_mut().remove(&key);
    }

    /// Everything of the connection is over when it returns, and nothing of noq's is held any more.
    pub fn close(&self, code: VarInt, reason: &str) {
        let over = {
            let State::Open(open) = &*self.state.borrow() else {
                return;
            };
            let close = match open.connection.close_reason() {
                // The peer was first: that is how it ended.
                Some(error) => Close::new(&error),
                None => {
                    self.endpoint.linger_for(open.rtt());
                    open.connection.close(code, reason.as_bytes());
                    Close::local(code, reason)
                }
            };
            State::Over {
                close,
                paths: open.paths(),
            }
        };
        self.end(over);
    }

    /// The endpoint goes, and with it what might still be read.
    pub fn lose(&self) {
        self.close(VarInt::from_u32(0), "");
    }

    fn end(&self, over: State) {
        drop(self.state.replace(over));
        let streams = self.streams.take();
        streams
            .into_values()
            .filter_map(|stream| stream.upgrade())
            .for_each(|stream| stream.lose());
        self.signals.borrow().wake_all();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let State::Open(open) = &*self.state.borrow() {
            self.endpoint.linger_for(open.rtt());
        }
        self.endpoint.forget(self.key());
    }
}

impl Open {
    fn poll_accept_uni(&mut self, waker: &Waker) -> Poll<Result<Reading, ConnectionError>> {
        let accept = |connection: Arc<iroh::endpoint::Connection>| async move { connection.accept_uni().await };
        let polled = self.accept_uni.poll(&self.connection, waker, accept);
        polled.map_ok(Reading::new)
    }

    fn rtt(&self) -> Duration {
        self.connection
            .paths()
            .iter()
            .map(|path| path.rtt())
            .max()
            .unwrap_or_default()
    }

    fn paths(&self) -> Vec<Path> {
        self.connection.paths().iter().map(|path| Path::new(&path)).collect()
    }
}

#[napi(object, object_from_js = false)]
pub struct BiStream {
    pub send: SendStream,
    pub recv: RecvStream,
}

/// The value, or why there is none.
pub type Tried<T> = Either<T, i32>;

#[napi(custom_finalize)]
pub struct Connection {
    shared: Rc<Shared>,
    remote_id: String,
    alpn: String,
    weighed: bool,
}

impl Connection {
    pub fn new(env: &Env, connection: iroh::endpoint::Connection, endpoint: &Rc<endpoint::Shared>) -> Self {
        let remote_id = connection.remote_id().to_string();
        let alpn = String::from_utf8_lossy(connection.alpn()).into_owned();
        connection.set_receive_window(endpoint.options().receive_window);
        let open = Open {
            connection: Arc::new(connection),
            accept_uni: Waiting(None),
            next_uni: None,
            accept_bi: Waiting(None),
            open_uni: Waiting(None),
            open_bi: Waiting(None),
            read_datagram: Waiting(None),
            closed: Waiting(None),
            unread: None,
            path_events: None,
        };
        let shared = Rc::new(Shared {
            state: RefCell::new(State::Open(Box::new(open))),
            signals: RefCell::new(Signals::new(endpoint.reactor())),
            streams: RefCell::default(),
            datagram_waits: Arc::default(),
            endpoint: endpoint.clone(),
        });
        endpoint.hold(&shared);
        Self {
            shared,
            remote_id,
            alpn,
            weighed: env.adjust_external_memory(WEIGHT_BYTES).is_ok(),
        }
    }

    /// One try of one operation.
    fn attempt<T, U>(
        &self,
        operation: usize,
        poll: impl FnOnce(&mut Open, &Waker) -> Poll<Result<T, ConnectionError>>,
        made: impl FnOnce(T) -> U,
    ) -> Tried<U> {
        let polled = match &mut *self.shared.state.borrow_mut() {
            State::Over { .. } => return Either::B(OVER),
            State::Open(open) => poll(open, self.shared.signals.borrow_mut().waker(operation)),
        };
        match polled {
            Poll::Pending => Either::B(BLOCKED),
            Poll::Ready(Ok(value)) => Either::A(made(value)),
            Poll::Ready(Err(_)) => Either::B(OVER),
        }
    }

    /// As far as there is room for whole streams and a place for the length of each.
    fn accept_whole_uni(&self, mut room: &mut [u8], lengths: &mut [u32]) -> i32 {
        let State::Open(open) = &mut *self.shared.state.borrow_mut() else {
            return OVER;
        };
        let mut signals = self.shared.signals.borrow_mut();
        let waker = signals.waker(ACCEPT_UNI);
        for (count, length) in lengths.iter_mut().enumerate() {
            if open.next_uni.is_some() || (count > 0 && room.len() < WHOLE_BYTES) {
                return count as i32;
            }
            let mut reading = match open.poll_accept_uni(waker) {
                Poll::Ready(Ok(reading)) => reading,
                _ if count > 0 => return count as i32,
                Poll::Pending => return BLOCKED,
                Poll::Ready(Err(_)) => return OVER,
            };
            let Some(read) = reading.read_whole(room) else {
                open.next_uni = Some(reading);
                return count as i32;
            };
            *length = read as u32;
            room = &mut room[read..];
        }
        lengths.len() as i32
    }

    fn bi(&self, (send, recv): Bi) -> BiStream {
        BiStream {
            send: SendStream::new(send, &self.shared),
            recv: RecvStream::new(Reading::new(recv), &self.shared),
        }
    }
}

impl ObjectFinalize for Connection {
    fn finalize(self, env: Env) -> napi::Result<()> {
        if self.weighed {
            // Fails only while the environment ends.
            let _ = env.adjust_external_memory(-WEIGHT_BYTES);
        }
        Ok(())
    }
}

fn sent(result: Result<(), SendDatagramError>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(SendDatagramError::ConnectionLost(_)) => OVER,
        Err(_) => TOO_LARGE,
    }
}

#[napi]
impl Connection {
    #[napi(getter, catch_unwind)]
    pub fn token(&self) -> f64 {
        self.shared.signals.borrow().token()
    }

    #[napi(getter, catch_unwind)]
    pub fn remote_id(&self) -> String {
        self.remote_id.clone()
    }

    #[napi(getter, catch_unwind)]
    pub fn alpn(&self) -> String {
        self.alpn.clone()
    }

    #[napi(catch_unwind)]
    pub fn try_open_uni(&self) -> Tried<SendStream> {
        let poll = |open: &mut Open, waker: &Waker| {
            open.open_uni.poll(&open.connection, waker, |connection| async move {
                connection.open_uni().await
            })
        };
        self.attempt(OPEN_UNI, poll, |stream| SendStream::new(stream, &self.shared))
    }

    #[napi(catch_unwind)]
    pub fn try_open_bi(&self) -> Tried<BiStream> {
        let poll = |open: &mut Open, waker: &Waker| {
            open.open_bi.poll(&open.connection, waker, |connection| async move {
                connection.open_bi().await
            })
        };
        self.attempt(OPEN_BI, poll, |streams| self.bi(streams))
    }

    #[napi(catch_unwind)]
    pub fn try_accept_uni(&self) -> Tried<RecvStream> {
        let poll = |open: &mut Open, waker: &Waker| match open.next_uni.take() {
            Some(reading) => Poll::Ready(Ok(reading)),
            None => open.poll_accept_uni(waker),
        };
        self.attempt(ACCEPT_UNI, poll, |reading| RecvStream::new(reading, &self.shared))
    }

    #[napi(catch_unwind)]
    pub fn try_accept_whole_uni(&self, env: &Env, into: Output, lengths: Lengths) -> napi::Result<i32> {
        let (room, places) = (into.0.as_ptr_range(), lengths.0.as_ptr_range());
        if room.start < places.end.cast() && places.start.cast() < room.end {
            return Err(type_error(env.raw(), "the room and the lengths must not share memory"));
        }
        Ok(self.accept_whole_uni(into.0, lengths.0))
    }

    #[napi(catch_unwind)]
    pub fn try_accept_bi(&self) -> Tried<BiStream> {
        let poll = |open: &mut Open, waker: &Waker| {
            open.accept_bi.poll(&open.connection, waker, |connection| async move {
                connection.accept_bi().await
            })
        };
        self.attempt(ACCEPT_BI, poll, |streams| self.bi(streams))
    }

    #[napi(catch_unwind)]
    pub fn max_datagram_bytes(&self) -> u32 {
        match &*self.shared.state.borrow() {
            State::Open(open) if self.shared.endpoint.options().datagrams => {
                open.connection.max_datagram_size().unwrap_or(0) as u32
            }
            _ => 0,
        }
    }

    #[napi(catch_unwind)]
    pub fn send_datagram(&self, datagram: Input) -> i32 {
        match &*self.shared.state.borrow() {
            State::Open(open) => sent(open.connection.send_datagram(Bytes::copy_from_slice(datagram.0))),
            State::Over { .. } => OVER,
        }
    }

    #[napi(catch_unwind)]
    pub fn try_send_datagram(&self, datagram: Input) -> i32 {
        let State::Open(open) = &*self.shared.state.borrow() else {
            return OVER;
        };
        let waits = &self.shared.datagram_waits;
        if waits.load(Ordering::Acquire) {
            return if open.connection.close_reason().is_some() {
                OVER
            } else {
                BLOCKED
            };
        }
        let datagram = Bytes::copy_from_slice(datagram.0);
        let attempt = pin!(open.connection.send_datagram_wait(datagram.clone()));
        if let Poll::Ready(result) = attempt.poll(&mut Context::from_waker(Waker::noop())) {
            return sent(result);
        }
        // iroh's future holds the datagram, so it is taken: a task waits for room with it, and calls whoever comes next.
        waits.store(true, Ordering::Release);
        let (connection, waits) = (open.connection.clone(), waits.clone());
        let waker = self.shared.signals.borrow_mut().waker(DATAGRAM_ROOM).clone();
        runtime().spawn(async move {
            // The connection's end is told by whatever is tried next.
            let _ = connection.send_datagram_wait(datagram).await;
            drop(connection);
            waits.store(false, Ordering::Release);
            waker.wake();
        });
        0
    }

    #[napi(catch_unwind)]
    pub fn try_read_datagram(&self, env: &Env, into: Output) -> napi::Result<i32> {
        let State::Open(open) = &mut *self.shared.state.borrow_mut() else {
            return Ok(OVER);
        };
        let datagram = match open.unread.take() {
            Some(datagram) => datagram,
            None => {
                let mut signals = self.shared.signals.borrow_mut();
                let waker = signals.waker(DATAGRAM_RECEIVED);
                let read =
                    |connection: Arc<iroh::endpoint::Connection>| async move { connection.read_datagram().await };
                match open.read_datagram.poll(&open.connection, waker, read) {
                    Poll::Pending => return Ok(BLOCKED),
                    Poll::Ready(Err(_)) => return Ok(OVER),
                    Poll::Ready(Ok(datagram)) => datagram,
                }
            }
        };
        let (length, fits) = (datagram.len(), into.0.len());
        match into.0.get_mut(..length) {
            Some(room) => {
                room.copy_from_slice(&datagram);
                Ok(length as i32)
            }
            None => {
                open.unread = Some(datagram);
                Err(range_error(
                    env.raw(),
                    &format!("the datagram has {length} bytes, there is room for {fits}"),
                ))
            }
        }
    }

    #[napi(catch_unwind)]
    pub fn paths(&self) -> Vec<Path> {
        match &*self.shared.state.borrow() {
            State::Open(open) => open.paths(),
            State::Over { paths, .. } => paths.clone(),
        }
    }

    #[napi(catch_unwind)]
    pub fn paths_changed(&self) -> bool {
        let State::Open(open) = &mut *self.shared.state.borrow_mut() else {
            return false;
        };
        let mut changed = open.path_events.is_none();
        let events = open.path_events.get_or_insert_with(|| open.connection.path_events());
        let mut signals = self.shared.signals.borrow_mut();
        let mut context = Context::from_waker(signals.waker(PATHS));
        // It ends with the connection.
        while let Poll::Ready(Some(_)) = Pin::new(&mut *events).poll_next(&mut context) {
            changed = true;
        }
        changed
    }

    #[napi(catch_unwind)]
    pub fn close(&self, code: Code, reason: Text) {
        let mut reason = reason.0;
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        self.shared.close(code.0, &reason);
    }

    #[napi(catch_unwind)]
    pub fn closed(&self) -> Option<Close> {
        let error = match &mut *self.shared.state.borrow_mut() {
            State::Over { close, .. } => return Some(close.clone()),
            State::Open(open) => match open.connection.close_reason() {
                Some(error) => error,
                None => {
                    let mut signals = self.shared.signals.borrow_mut();
                    let closed = |connection: Arc<iroh::endpoint::Connection>| async move { connection.closed().await };
                    match open.closed.poll(&open.connection, signals.waker(CLOSED), closed) {
                        Poll::Pending => return None,
                        Poll::Ready(error) => error,
                    }
                }
            },
        };
        Some(Close::new(&error))
    }
}
