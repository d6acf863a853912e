//! Incoming connections: who is let in, before any work is done for them, and how many may be on their way at once.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Waker;
use std::time::Duration;

use iroh::endpoint::{Connection, Incoming, IncomingAddr};
use napi::bindgen_prelude::FromNapiValue;
use napi::{Result, sys};
use napi_derive::napi;

use crate::arguments::{Properties, objects};

#[derive(Clone, Copy)]
enum Action {
    Accept,
    /// It must show first that it hears what is sent to its address. No rule says so.
    Retry,
    Refuse,
    Ignore,
}

enum From {
    Relay,
    Ip { network: IpAddr, bits: u32 },
}

/// One rule: the first that matches decides.
pub struct Rule {
    from: From,
    action: Action,
}

impl Rule {
    fn parse(properties: &Properties) -> Result<Self> {
        let text = properties.text("from")?.unwrap_or_default();
        let from = From::parse(&text).ok_or_else(|| {
            properties.error("from must be relay, an ip address, or an ip address, a slash and the bits of its prefix")
        })?;
        let action = match properties.text("action")?.as_deref() {
            Some("accept") => Action::Accept,
            Some("refuse") => Action::Refuse,
            Some("ignore") => Action::Ignore,
            _ => return Err(properties.error("action must be accept, refuse or ignore")),
        };
        Ok(Self { from, action })
    }
}

pub struct Rules(pub Vec<Rule>);

impl FromNapiValue for Rules {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        objects(env, value, Rule::parse).map(Self)
    }
}

impl From {
    fn parse(text: &str) -> Option<Self> {
        if text == "relay" {
            return Some(Self::Relay);
        }
        let (network, bits) = text
            .split_once('/')
            .map_or((text, None), |(network, bits)| (network, Some(bits)));
        let network: IpAddr = network.parse().ok()?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).ok()?;
        (bits <= most).then_some(Self::Ip { network, bits })
    }

    fn matches(&self, remote: &IncomingAddr) -> bool {
        match (self, remote) {
            (Self::Relay, IncomingAddr::Relay { .. }) => true,
            (Self::Ip { network, bits }, IncomingAddr::Ip(remote)) => same_network(*network, *remote, *bits),
            _ => false,
        }
    }
}

fn same_network(network: IpAddr, remote: SocketAddr, bits: u32) -> bool {
    // A socket of both families shows IPv4 addresses inside IPv6 ones.
    match (network, remote.ip().to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        _ => false,
    }
}

/// Only one of so many handshakes may be one whose sender's address is not validated.
const UNVALIDATED_PART: u32 = 4;

pub struct Limits {
    pub max_handshakes: u32,
    pub backlog: u32,
    pub handshake_timeout: Duration,
}

/// What has come in so far.
#[napi(object, object_from_js = false)]
pub struct IncomingCounts {
    pub pending: u32,
    pub waiting: u32,
    pub accepted: f64,
    pub retried: f64,
    pub refused: f64,
    pub ignored: f64,
    pub failed: f64,
}

/// Connections whose handshake is done and that JavaScript has not taken.
#[derive(Default)]
struct Waiting {
    connections: VecDeque<Connection>,
    /// Called when there is one.
    waker: Option<Waker>,
    /// Nobody takes any more.
    closed: bool,
}

/// The door of one endpoint.
pub struct Admission {
    limits: Limits,
    rules: RwLock<Vec<Rule>>,
    pending: AtomicU32,
    waiting: Mutex<Waiting>,
    accepted: AtomicU64,
    retried: AtomicU64,
    refused: AtomicU64,
    ignored: AtomicU64,
    failed: AtomicU64,
}

impl Admission {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            rules: RwLock::default(),
            pending: AtomicU32::new(0),
            waiting: Mutex::default(),
            accepted: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub fn set_rules(&self, rules: Vec<Rule>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that waits for longest. Where there is none, `waker` is called when there is.
    pub fn take(&self, waker: Waker) -> Option<Connection> {
        let mut waiting = self.waiting();
        let taken = waiting.connections.pop_front();
        if taken.is_none() {
            waiting.waker = Some(waker);
        }
        taken
    }

    /// Drops those that wait and those that are still to come.
    pub fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        let dropped = std::mem::take(&mut waiting.connections);
        drop(waiting);
        drop(dropped);
    }

    fn arrived(&self, connection: Connection) {
        let mut waiting = self.waiting();
        if !waiting.closed {
            waiting.connections.push_back(connection);
            if let Some(waker) = waiting.waker.take() {
                waker.wake();
            }
        }
    }

    /// How many there are. Where they are too many, those whose peer has gone meanwhile make room.
    fn waiting_of(&self, most: usize) -> usize {
        let mut waiting = self.waiting();
        if waiting.connections.len() >= most {
            waiting
                .connections
                .retain(|connection| connection.close_reason().is_none());
        }
        waiting.connections.len()
    }

    pub fn counts(&self) -> IncomingCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        IncomingCounts {
            pending: self.pending.load(Ordering::Relaxed),
            waiting: self.waiting().connections.len() as u32,
            accepted: count(&self.accepted),
            retried: count(&self.retried),
            refused: count(&self.refused),
            ignored: count(&self.ignored),
            failed: count(&self.failed),
        }
    }

    fn decide(&self, incoming: &Incoming) -> Action {
        let remote = incoming.remote_addr();
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let rule = rules.iter().find(|rule| rule.from.matches(&remote));
        if let Some(action @ (Action::Refuse | Action::Ignore)) = rule.map(|rule| rule.action) {
            return action;
        }
        let Limits {
            max_handshakes,
            backlog,
            ..
        } = self.limits;
        let pending = self.pending.load(Ordering::Relaxed);
        // Anybody can send a first packet in anybody's name (RFC 9000 section 8.1.2): those that may be such get no more than
        // a part of the places, or a few packets would keep everybody out.
        if pending >= max_handshakes.min(backlog) / UNVALIDATED_PART && !incoming.remote_addr_validated() {
            return Action::Retry;
        }
        // A handshake under way has its place in the backlog, so that whoever finishes is not turned away.
        let places = backlog.saturating_sub(pending) as usize;
        if pending >= max_handshakes || self.waiting_of(places) >= places {
            return Action::Refuse;
        }
        Action::Accept
    }

    /// Lets in who may come, until the endpoint closes.
    pub async fn run(self: Arc<Self>, endpoint: iroh::Endpoint) {
        while let Some(incoming) = endpoint.accept().await {
            match self.decide(&incoming) {
                Action::Ignore => {
                    self.ignored.fetch_add(1, Ordering::Relaxed);
                    incoming.ignore();
                }
                Action::Refuse => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    incoming.refuse();
                }
                Action::Retry => {
                    self.retried.fetch_add(1, Ordering::Relaxed);
                    // It fails for none whose address is not validated.
                    if let Err(error) = incoming.retry() {
                        error.into_incoming().refuse();
                    }
                }
                Action::Accept => {
                    self.pending.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(self.clone().handshake(incoming));
                }
            }
        }
    }

    async fn handshake(self: Arc<Self>, incoming: Incoming) {
        let done = tokio::time::timeout(self.limits.handshake_timeout, incoming).await;
        // First there, then no longer on its way: it must not be missing from the backlog in between.
        if let Ok(Ok(connection)) = done {
            self.accepted.fetch_add(1, Ordering::Relaxed);
            self.arrived(connection);
        } else {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.pending.fetch_sub(1, Ordering::Relaxed);
    }
}
