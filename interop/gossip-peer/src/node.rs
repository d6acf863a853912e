//! The endpoint, and gossip on it.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use iroh::{
    Endpoint, EndpointAddr, EndpointId, RelayMode, SecretKey, TransportAddr, address_lookup::memory::MemoryLookup,
    endpoint::presets, protocol::Router,
};
use iroh_gossip::{
    net::{GOSSIP_ALPN, Gossip},
    proto::{HyparviewConfig, TopicId},
};
use serde_json::json;

use crate::report::report;

/// Long enough for the last messages to leave: nothing tells when they have.
const FLUSH: Duration = Duration::from_millis(200);

/// A member of gossip topics.
///
/// Commands, one a line: `broadcast TEXT`, `broadcast-neighbors TEXT`, `bytes N`, `bytes-neighbors N` (so many of the byte `x`),
/// `burst COUNT BYTES` (each different), `join ID@IP:PORT`, `leave`, `subscribe` (anew, after `leave`), `quit`. They are for the
/// first topic; `@2 leave` is for the third one, `@* leave` for all.
#[derive(Parser)]
pub struct Options {
    /// 64 hex digits; a fresh key without it.
    #[arg(long)]
    secret: Option<SecretKey>,
    /// One of each address family, at most.
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: Vec<SocketAddr>,
    /// 64 hex digits.
    #[arg(long, required = true)]
    pub topic: Vec<Topic>,
    /// Members to join in every topic: `ID@IP:PORT`.
    #[arg(long)]
    pub bootstrap: Vec<Peer>,
    /// The most bytes of a message as it is on the wire.
    #[arg(long, default_value_t = 4096)]
    max_message_bytes: usize,
    /// The most neighbors in a topic.
    #[arg(long, default_value_t = 5)]
    neighbors: usize,
    /// Tell each time so many messages have come, in all topics, instead of every message.
    #[arg(long)]
    pub count: Option<u64>,
}

#[derive(Clone)]
pub struct Topic(pub TopicId);

impl FromStr for Topic {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(TopicId::from_bytes(bytes)))
    }
}

#[derive(Clone)]
pub struct Peer(pub EndpointAddr);

impl FromStr for Peer {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (id, at) = text.split_once('@').context("expected ID@IP:PORT")?;
        let addr = EndpointAddr::from_parts(EndpointId::from_str(id)?, [TransportAddr::Ip(at.parse()?)]);
        Ok(Self(addr))
    }
}

pub struct Node {
    pub gossip: Gossip,
    pub options: Options,
    known: MemoryLookup,
    router: Router,
}

impl Node {
    pub async fn bind(options: Options) -> Result<Self> {
        let known = MemoryLookup::new();
        let mut builder = Endpoint::builder(presets::Minimal)
            .secret_key(options.secret.clone().unwrap_or_else(SecretKey::generate))
            .relay_mode(RelayMode::Disabled)
            .address_lookup(known.clone())
            .clear_ip_transports();
        for address in &options.bind {
            builder = builder.bind_addr(*address)?;
        }
        let endpoint = builder.bind().await?;
        let membership = HyparviewConfig {
            active_view_capacity: options.neighbors,
            ..Default::default()
        };
        let gossip = Gossip::builder()
            .max_message_size(options.max_message_bytes)
            .membership_config(membership)
            .spawn(endpoint.clone());
        let router = Router::builder(endpoint).accept(GOSSIP_ALPN, gossip.clone()).spawn();
        Ok(Self {
            gossip,
            options,
            known,
            router,
        })
    }

    /// Tells who and where we are.
    pub fn ready(&self) {
        let endpoint = self.router.endpoint();
        let id = endpoint.id().to_string();
        let sockets = endpoint.bound_sockets();
        let addrs: Vec<String> = sockets.iter().map(|socket| format!("{id}@{socket}")).collect();
        report("ready", json!({ "id": id, "addrs": addrs }));
    }

    /// Remembers where a peer lives.
    pub fn meet(&self, Peer(addr): &Peer) -> EndpointId {
        self.known.add_endpoint_info(addr.clone());
        addr.id
    }

    /// Says goodbye to everybody, once the topics are left.
    pub async fn close(self) -> Result<()> {
        tokio::time::sleep(FLUSH).await;
        self.router.shutdown().await?;
        Ok(())
    }
}
