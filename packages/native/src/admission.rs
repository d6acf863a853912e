//! Incoming connections: who is let in, before any work is done for them, and how many may be on their way at once.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use iroh::endpoint::{Connection, Incoming, IncomingAddr};
use napi::Result;
use napi_derive::napi;
use tokio::sync::mpsc::UnboundedSender;

use crate::arguments::Properties;

#[derive(Clone, Copy)]
enum Action {
    Accept,
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
    pub fn parse(properties: &Properties) -> Result<Self> {
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
    pub refused: f64,
    pub ignored: f64,
    pub failed: f64,
}

/// The door of one endpoint.
pub struct Admission {
    limits: Limits,
    rules: RwLock<Vec<Rule>>,
    pending: AtomicU32,
    waiting: AtomicU32,
    accepted: AtomicU64,
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
            waiting: AtomicU32::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub fn set_rules(&self, rules: Vec<Rule>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// JavaScript took one of the connections that were waiting.
    pub fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn counts(&self) -> IncomingCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        IncomingCounts {
            pending: self.pending.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            accepted: count(&self.accepted),
            refused: count(&self.refused),
            ignored: count(&self.ignored),
            failed: count(&self.failed),
        }
    }

    fn decide(&self, incoming: &Incoming) -> Action {
        let remote = incoming.remote_addr();
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        match rules
            .iter()
            .find(|rule| rule.from.matches(&remote))
            .map(|rule| rule.action)
        {
            Some(Action::Refuse) => Action::Refuse,
            Some(Action::Ignore) => Action::Ignore,
            // A handshake under way has its place in the backlog, so that whoever finishes is not turned away.
            Some(Action::Accept) | None => {
                let pending = self.pending.load(Ordering::Relaxed);
                let waiting = self.waiting.load(Ordering::Relaxed);
                let full = pending >= self.limits.max_handshakes || pending + waiting >= self.limits.backlog;
                if full { Action::Refuse } else { Action::Accept }
            }
        }
    }

    /// Lets in who may come, until the endpoint closes. `arrived` gets every connection whose handshake is done.
    pub async fn run(self: Arc<Self>, endpoint: iroh::Endpoint, arrived: UnboundedSender<Connection>) {
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
                Action::Accept => {
                    self.pending.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(self.clone().handshake(incoming, arrived.clone()));
                }
            }
        }
    }

    async fn handshake(self: Arc<Self>, incoming: Incoming, arrived: UnboundedSender<Connection>) {
        let done = tokio::time::timeout(self.limits.handshake_timeout, incoming).await;
        // First there, then no longer on its way: it must not be missing from the backlog in between.
        if let Ok(Ok(connection)) = done {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            self.accepted.fetch_add(1, Ordering::Relaxed);
            // Nobody takes it any more when the endpoint is closing, which closes it.
            let _ = arrived.send(connection);
        } else {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.pending.fetch_sub(1, Ordering::Relaxed);
    }
}
