//! An endpoint: bound, told what to accept, dials, closes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use iroh::address_lookup::memory::MemoryLookup;
use iroh::endpoint::ConnectOptions;
use iroh::metrics::EndpointMetrics;
use iroh::{EndpointAddr, Watcher};
use iroh_metrics::{MetricValue, MetricsGroupSet};
use napi::Env;
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use tokio::task::JoinHandle;

use crate::admission::{Admission, IncomingCounts, Rules};
use crate::arguments::{Alpns, Text, type_error};
use crate::connection::{self, Connection, Tried};
use crate::dial::Dial;
use crate::errors::Failure;
use crate::options::{Addr, Connections, Options, parse_id};
use crate::pending::Pending;
use crate::reactor::{self, Reactor, Signals};
use crate::{BLOCKED, OVER, runtime};

const ACCEPT: usize = 0;
const ADDR: usize = 1;
const RELAYS: usize = 2;
const CLOSED: usize = 3;

/// What an endpoint shares with its connections. It closes when the last of them is gone.
pub struct Shared {
    reactor: Arc<reactor::Shared>,
    /// None once it is closing.
    open: RefCell<Option<Open>>,
    closed: Arc<AtomicBool>,
    connections: RefCell<HashMap<u64, Weak<connection::Shared>>>,
    /// How long the slowest peer so far may take to hear that we close.
    linger: Cell<Duration>,
    options: Connections,
}

/// Enough for a few packets to leave where nobody has to hear anything.
const LEAST_LINGER: Duration = Duration::from_millis(100);
/// What iroh waits at most.
const MOST_LINGER: Duration = Duration::from_secs(3);

struct Open {
    endpoint: iroh::Endpoint,
    /// It holds a clone too, so the endpoint would never be gone by itself.
    accepting: JoinHandle<()>,
}

impl Shared {
    pub fn reactor(&self) -> &Arc<reactor::Shared> {
        &self.reactor
    }

    /// Of its connections.
    pub fn options(&self) -> Connections {
        self.options
    }

    /// Remembers a connection, to tell it when we close.
    pub fn hold(&self, connection: &Rc<connection::Shared>) {
        self.connections
            .borrow_mut()
            .insert(connection.key(), Rc::downgrade(connection));
    }

    pub fn forget(&self, connection: u64) {
        self.connections.borrow_mut().remove(&connection);
    }

    /// A connection that was established is being closed: its peer is told again while it goes on sending, for about three
    /// times what it takes to miss an answer (RFC 9000 section 10.2).
    pub fn linger_for(&self, rtt: Duration) {
        let linger = 3 * (3 * rtt + Duration::from_millis(25));
        self.linger.set(self.linger.get().max(linger).min(MOST_LINGER));
    }

    fn endpoint(&self) -> Option<iroh::Endpoint> {
        self.open.borrow().as_ref().map(|open| open.endpoint.clone())
    }

    /// `waker` is called when the peers know and the sockets are free.
    fn close(&self, waker: Waker) {
        let Some(Open { endpoint, accepting }) = self.open.take() else {
            return;
        };
        // iroh gives the sockets back when nothing holds them any more, and its connections do: not one may be left to the
        // garbage collector.
        let connections = self.connections.take();
        connections
            .into_values()
            .filter_map(|connection| connection.upgrade())
            .for_each(|connection| connection.lose());
        let (closed, linger) = (self.closed.clone(), self.linger.get());
        runtime().spawn(async move {
            accepting.abort();
            // iroh would wait 3 s for a dial that was given up before anybody answered. Dropped, it ends without more words.
            let _ = tokio::time::timeout(linger, endpoint.close()).await;
            let _ = accepting.await;
            let addrs = endpoint.bound_sockets();
            drop(endpoint);
            until_free(addrs).await;
            closed.store(true, Ordering::Release);
            waker.wake();
        });
    }
}

/// iroh's sockets are closed on another thread, a moment after the last of the endpoint was dropped.
async fn until_free(addrs: Vec<SocketAddr>) {
    for addr in addrs {
        for _ in 0..100 {
            match UdpSocket::bind(addr) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    tokio::time::sleep(Duration::from_millis(1)).await
                }
                _ => break,
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close(Waker::noop().clone());
    }
}

struct Bound {
    endpoint: iroh::Endpoint,
    known: MemoryLookup,
    admission: Arc<Admission>,
    options: Connections,
}

/// An endpoint that is being bound.
#[napi]
pub struct Binding {
    pending: Pending<Bound>,
    reactor: Arc<reactor::Shared>,
}

#[napi]
impl Reactor {
    #[napi(catch_unwind)]
    pub fn bind(&self, options: Options) -> Binding {
        let Options {
            builder,
            known,
            limits,
            connections,
        } = options;
        let pending = Pending::start(self.shared(), async move {
            let endpoint = builder.bind().await?;
            Ok(Bound {
                endpoint,
                known,
                admission: Arc::new(Admission::new(limits)),
                options: connections,
            })
        });
        Binding {
            pending,
            reactor: self.shared().clone(),
        }
    }
}

#[napi]
impl Binding {
    #[napi(getter, catch_unwind)]
    pub fn token(&self) -> f64 {
        self.pending.token()
    }

    #[napi(catch_unwind)]
    pub fn poll(&self) -> Tried<Endpoint> {
        match self.pending.poll() {
            Ok(Some(bound)) => Either::A(Endpoint::new(bound, &self.reactor)),
            Ok(None) => Either::B(BLOCKED),
            Err(()) => Either::B(OVER),
        }
    }

    #[napi(catch_unwind)]
    pub fn failure(&self) -> Option<Failure> {
        self.pending.failure()
    }
}

/// Says whether what it watches changed since it was last asked; where not, the waker is called when it does.
type Changed = Box<dyn FnMut(&mut Context<'_>) -> bool>;

fn changed(mut watcher: impl Watcher + 'static) -> Changed {
    Box::new(move |context| {
        let mut changed = false;
        while let Poll::Ready(Ok(())) = watcher.poll_updated(context) {
            changed = true;
        }
        changed
    })
}

struct State {
    signals: Signals,
    /// As it was last, for the time after the end.
    addr: EndpointAddr,
    addr_changed: Option<Changed>,
    relays_changed: Option<Changed>,
}

#[napi]
pub struct Endpoint {
    shared: Rc<Shared>,
    id: String,
    bound_addrs: Vec<String>,
    known: MemoryLookup,
    admission: Arc<Admission>,
    metrics: EndpointMetrics,
    state: RefCell<State>,
}

/// Where an endpoint can be reached.
#[napi(object, object_from_js = false)]
pub struct AddrInfo {
    pub id: String,
    pub relays: Vec<String>,
    pub ips: Vec<String>,
}

/// A relay that the endpoint uses as its home, or tries to.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct RelayInfo {
    pub url: String,
    pub connected: bool,
    pub error: Option<String>,
}

impl Endpoint {
    fn new(bound: Bound, reactor: &Arc<reactor::Shared>) -> Self {
        let Bound {
            endpoint,
            known,
            admission,
            options,
        } = bound;
        let accepting = runtime().spawn(admission.clone().run(endpoint.clone()));
        let state = State {
            signals: Signals::new(reactor),
            addr: endpoint.addr(),
            addr_changed: None,
            relays_changed: None,
        };
        Self {
            id: endpoint.id().to_string(),
            bound_addrs: endpoint.bound_sockets().iter().map(ToString::to_string).collect(),
            known,
            admission,
            metrics: endpoint.metrics().clone(),
            state: RefCell::new(state),
            shared: Rc::new(Shared {
                reactor: reactor.clone(),
                open: RefCell::new(Some(Open { endpoint, accepting })),
                closed: Arc::default(),
                connections: RefCell::default(),
                linger: Cell::new(LEAST_LINGER),
                options,
            }),
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.admission.close();
    }
}

#[napi]
impl Endpoint {
    #[napi(getter, catch_unwind)]
    pub fn token(&self) -> f64 {
        self.state.borrow().signals.token()
    }

    #[napi(getter, catch_unwind)]
    pub fn id(&self) -> String {
        self.id.clone()
    }

    #[napi(getter, catch_unwind)]
    pub fn bound_addrs(&self) -> Vec<String> {
        self.bound_addrs.clone()
    }

    #[napi(catch_unwind)]
    pub fn addr(&self) -> AddrInfo {
        let state = &mut *self.state.borrow_mut();
        if let Some(endpoint) = self.shared.endpoint() {
            state.addr = endpoint.addr();
        }
        AddrInfo {
            id: self.id.clone(),
            relays: state.addr.relay_urls().map(ToString::to_string).collect(),
            ips: state.addr.ip_addrs().map(ToString::to_string).collect(),
        }
    }

    #[napi(catch_unwind)]
    pub fn addr_changed(&self) -> bool {
        let State {
            signals, addr_changed, ..
        } = &mut *self.state.borrow_mut();
        let first = addr_changed.is_none();
        let Some(endpoint) = self.shared.endpoint() else {
            return first;
        };
        let ask = addr_changed.get_or_insert_with(|| changed(endpoint.watch_addr()));
        ask(&mut Context::from_waker(signals.waker(ADDR))) || first
    }

    #[napi(catch_unwind)]
    pub fn relays(&self) -> Vec<RelayInfo> {
        let Some(endpoint) = self.shared.endpoint() else {
            return Vec::new();
        };
        let relays = endpoint.home_relay_status().get();
        let relay = |relay: &iroh::endpoint::RelayStatus| RelayInfo {
            url: relay.url().to_string(),
            connected: relay.is_connected(),
            error: relay.last_error().map(|error| format!("{error:#}")),
        };
        relays.iter().map(relay).collect()
    }

    #[napi(catch_unwind)]
    pub fn relays_changed(&self) -> bool {
        let State {
            signals,
            relays_changed,
            ..
        } = &mut *self.state.borrow_mut();
        let first = relays_changed.is_none();
        let Some(endpoint) = self.shared.endpoint() else {
            return first;
        };
        let ask = relays_changed.get_or_insert_with(|| changed(endpoint.home_relay_status()));
        ask(&mut Context::from_waker(signals.waker(RELAYS))) || first
    }

    #[napi(catch_unwind)]
    pub fn set_alpns(&self, alpns: Alpns) {
        if let Some(endpoint) = self.shared.endpoint() {
            endpoint.set_alpns(alpns.0);
        }
    }

    #[napi(catch_unwind)]
    pub fn set_admission(&self, rules: Rules) {
        self.admission.set_rules(rules.0);
    }

    #[napi(catch_unwind)]
    pub fn incoming(&self) -> IncomingCounts {
        self.admission.counts()
    }

    #[napi(catch_unwind)]
    pub fn remember(&self, addr: Addr) {
        self.known.set_endpoint_info(addr.0);
    }

    #[napi(catch_unwind)]
    pub fn forget(&self, env: &Env, id: Text) -> napi::Result<()> {
        let id = parse_id(&id.0).ok_or_else(|| type_error(env.raw(), "id must be an endpoint's id"))?;
        self.known.remove_endpoint_info(id);
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn connect(&self, env: &Env, addr: Addr, alpns: Alpns) -> napi::Result<Dial> {
        let mut alpns = alpns.0.into_iter();
        let first = alpns.next();
        let first = first.ok_or_else(|| type_error(env.raw(), "alpns must name at least one protocol"))?;
        let options = ConnectOptions::new().with_additional_alpns(alpns.collect());
        let endpoint = self.shared.endpoint();
        let pending = Pending::start(self.shared.reactor(), async move {
            let endpoint = endpoint.ok_or_else(Failure::endpoint_closed)?;
            let connecting = endpoint.connect_with_opts(addr.0, &first, options).await?;
            Ok(connecting.await?)
        });
        Ok(Dial::new(pending, &self.shared))
    }

    #[napi(catch_unwind)]
    pub fn try_accept(&self, env: &Env) -> Tried<Connection> {
        if self.shared.endpoint().is_none() {
            return Either::B(OVER);
        }
        let waker = self.state.borrow_mut().signals.waker(ACCEPT).clone();
        match self.admission.take(waker) {
            None => Either::B(BLOCKED),
            Some(connection) => Either::A(Connection::new(env, connection, &self.shared)),
        }
    }

    #[napi(catch_unwind)]
    pub fn close(&self) {
        let state = &mut *self.state.borrow_mut();
        let waker = state.signals.waker(CLOSED).clone();
        self.shared.close(waker);
        // Whoever waits for one of these finds out that there will be none.
        self.admission.close();
        for waiting in [ACCEPT, ADDR, RELAYS] {
            state.signals.wake(waiting);
        }
    }

    #[napi(catch_unwind)]
    pub fn closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    #[napi(catch_unwind)]
    pub fn metrics(&self) -> HashMap<String, f64> {
        let value = |value| match value {
            MetricValue::Counter(value) => Some(value as f64),
            MetricValue::Gauge(value) => Some(value as f64),
            _ => None,
        };
        let items = self.metrics.iter();
        items
            .filter_map(|(group, item)| Some((format!("{group}_{}", item.name()), value(item.value())?)))
            .collect()
    }
}
