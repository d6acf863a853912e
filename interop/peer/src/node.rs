//! The endpoint and its sessions, each publishing and subscribing at once, as in iroh-moq.

use std::{net::SocketAddr, pin::pin, str::FromStr};

use anyhow::{Context, Result};
use clap::Args;
use iroh::{
    Endpoint, EndpointAddr, EndpointId, RelayMode, RelayUrl, SecretKey, TransportAddr,
    endpoint::{Connection, ConnectionError, presets},
};
use moq_lite::{Client, Error, OriginConsumer, OriginProducer, Server};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use crate::report::report;

#[derive(Args)]
pub struct Options {
    /// 64 hex digits; a fresh key without it.
    #[arg(long)]
    secret: Option<SecretKey>,
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// Be reachable by this relay too.
    #[arg(long)]
    relay: Option<RelayUrl>,
    /// `moq-lite-03` is what iroh-live speaks; the crate knows `moq-lite-04` too.
    #[arg(long, default_value = "moq-lite-03")]
    alpn: String,
    /// Peers to dial: `ID@IP:PORT`, or `ID@URL` of a relay. Everybody may dial us.
    #[arg(long)]
    dial: Vec<Peer>,
}

#[derive(Clone)]
struct Peer(EndpointAddr);

impl FromStr for Peer {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (id, at) = text.split_once('@').context("expected ID@IP:PORT or ID@URL")?;
        let at = match at.parse::<SocketAddr>() {
            Ok(ip) => TransportAddr::Ip(ip),
            Err(_) => TransportAddr::Relay(at.parse()?),
        };
        Ok(Self(EndpointAddr::from_parts(EndpointId::from_str(id)?, [at])))
    }
}

pub struct Node {
    endpoint: Endpoint,
    options: Options,
    tables: Tables,
}

impl Node {
    pub async fn bind(options: Options, published: OriginConsumer, remote: OriginProducer) -> Result<Self> {
        let relay_mode = match &options.relay {
            Some(url) => RelayMode::custom([url.clone()]),
            None => RelayMode::Disabled,
        };
        let endpoint = Endpoint::builder(presets::Minimal)
            .secret_key(options.secret.clone().unwrap_or_else(SecretKey::generate))
            .alpns(vec![options.alpn.clone().into_bytes()])
            .relay_mode(relay_mode)
            .clear_ip_transports()
            .bind_addr(options.bind)?
            .bind()
            .await?;
        if options.relay.is_some() {
            endpoint.online().await;
        }
        let socket = *endpoint.bound_sockets().first().context("no socket")?;
        report("ready", json!({ "addr": format!("{}@{socket}", endpoint.id()) }));
        Ok(Self {
            endpoint,
            options,
            tables: Tables { published, remote },
        })
    }

    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Dials and accepts until `work` is done, then takes leave of everybody as iroh-moq does.
    pub async fn run(self, work: impl Future<Output = Result<()>>) -> Result<()> {
        let mut work = pin!(work);
        let leaving = watch::Sender::new(false);
        let mut sessions = JoinSet::new();
        for Peer(addr) in self.options.dial.clone() {
            let endpoint = self.endpoint.clone();
            let alpn = self.options.alpn.clone();
            let (tables, leaving) = (self.tables.clone(), leaving.subscribe());
            sessions.spawn(async move {
                let connection = endpoint.connect(addr, alpn.as_bytes()).await?;
                tables.session(connection, Side::Dialed, leaving).await
            });
        }
        let ended = loop {
            tokio::select! {
                ended = &mut work => break ended,
                Some(incoming) = self.endpoint.accept() => {
                    let (tables, leaving) = (self.tables.clone(), leaving.subscribe());
                    sessions.spawn(async move { tables.session(incoming.await?, Side::Accepted, leaving).await });
                }
                Some(session) = sessions.join_next() => {
                    if let Err(error) = session? {
                        report("failed", json!({ "error": format!("{error:#}") }));
                    }
                }
            }
        };
        leaving.send_replace(true);
        while sessions.join_next().await.is_some() {}
        self.endpoint.close().await;
        ended
    }
}

enum Side {
    Dialed,
    Accepted,
}

/// What all sessions publish, and where they put what peers announce.
#[derive(Clone)]
struct Tables {
    published: OriginConsumer,
    remote: OriginProducer,
}

impl Tables {
    async fn session(self, connection: Connection, side: Side, mut leaving: watch::Receiver<bool>) -> Result<()> {
        let remote = connection.remote_id().to_string();
        // asked for before moq-lite may answer a close with one of its own: this is the first
        let closed = connection.weak_handle().closed();
        let transport = web_transport_iroh::Session::raw(connection);
        let mut session = match side {
            Side::Dialed => {
                let client = Client::new().with_publish(self.published).with_consume(self.remote);
                client.connect(transport).await?
            }
            Side::Accepted => {
                let server = Server::new().with_publish(self.published).with_consume(self.remote);
                server.accept(transport).await?
            }
        };
        report(
            "session",
            json!({ "remote": remote, "version": session.version().to_string() }),
        );
        let closed = tokio::select! {
            closed = closed => closed,
            _ = leaving.wait_for(|leaving| *leaving) => {
                session.close(Error::Cancel);
                return Ok(());
            }
        };
        let (code, why) = match closed.map(|closed| closed.reason) {
            Some(ConnectionError::ApplicationClosed(close)) => {
                let reason = String::from_utf8_lossy(&close.reason).into_owned();
                (Some(close.error_code.into_inner()), reason)
            }
            Some(other) => (None, other.to_string()),
            None => (None, "dropped".into()),
        };
        report("closed", json!({ "remote": remote, "code": code, "why": why }));
        Ok(())
    }
}
