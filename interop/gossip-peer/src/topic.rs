//! One topic: what happens in it is told, and what is sent goes through its handle.

use anyhow::{Context, Result};
use iroh::EndpointId;
use iroh_gossip::{
    api::{Event, GossipReceiver, GossipSender, Message},
    proto::{DeliveryScope, TopicId},
};
use n0_future::StreamExt;
use serde_json::{Value, json};
use tokio::task::{AbortHandle, spawn};

use crate::{node::Node, report::report};

pub struct Topic {
    id: TopicId,
    membership: Option<Membership>,
}

/// Dropped, the topic is left.
struct Membership {
    sender: GossipSender,
    reader: AbortHandle,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Topic {
    pub async fn subscribe(node: &Node, id: TopicId, bootstrap: Vec<EndpointId>) -> Result<Self> {
        let (sender, receiver) = node.gossip.subscribe(id, bootstrap).await?.split();
        let reader = spawn(read(hex::encode(id), receiver, node.options.count.is_some())).abort_handle();
        let membership = Some(Membership { sender, reader });
        Ok(Self { id, membership })
    }

    pub fn id(&self) -> TopicId {
        self.id
    }

    pub fn sender(&self) -> Result<&GossipSender> {
        let membership = self.membership.as_ref().context("this topic was left")?;
        Ok(&membership.sender)
    }

    pub fn leave(&mut self) {
        self.membership = None;
    }
}

async fn read(topic: String, mut receiver: GossipReceiver, quiet: bool) {
    while let Some(event) = receiver.next().await {
        match event {
            Ok(Event::NeighborUp(peer)) => report("neighborUp", json!({ "topic": topic, "peer": peer.to_string() })),
            Ok(Event::NeighborDown(peer)) => {
                report("neighborDown", json!({ "topic": topic, "peer": peer.to_string() }));
            }
            Ok(Event::Lagged | Event::Received(_)) if quiet => {}
            Ok(Event::Lagged) => report("lagged", json!({ "topic": topic })),
            Ok(Event::Received(message)) => report("received", received(&topic, &message)),
            Err(error) => report("failed", json!({ "topic": topic, "error": error.to_string() })),
        }
    }
    report("closed", json!({ "topic": topic }));
}

/// `text` only where the content is one.
fn received(topic: &str, message: &Message) -> Value {
    let (scope, round) = match message.scope {
        DeliveryScope::Swarm(round) => ("swarm", Some(round)),
        DeliveryScope::Neighbors => ("neighbors", None),
    };
    json!({
        "topic": topic,
        "from": message.delivered_from.to_string(),
        "scope": scope,
        "round": round,
        "bytes": message.content.len(),
        "text": std::str::from_utf8(&message.content).ok(),
        "hex": hex::encode(&message.content),
    })
}
