//! What is heard on stdin.

use anyhow::{Context, Result};
use bytes::Bytes;
use iroh::EndpointId;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

use crate::{
    count::count,
    node::{self, Node},
    topic::Topic,
};

/// Takes part in all topics until told to quit, or until whoever drives this process is gone.
pub async fn run(node: &Node) -> Result<()> {
    let bootstrap: Vec<EndpointId> = node.options.bootstrap.iter().map(|peer| node.meet(peer)).collect();
    let mut topics = Vec::new();
    for node::Topic(id) in &node.options.topic {
        topics.push(Topic::subscribe(node, *id, bootstrap.clone()).await?);
    }
    if let Some(every) = node.options.count {
        tokio::spawn(count(node.gossip.metrics().clone(), every));
    }
    node.ready();
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if line == "quit" {
            break;
        }
        let (which, command) = match line.strip_prefix('@') {
            Some(rest) => rest.split_once(' ').context("a command is missing")?,
            None => ("0", line.as_str()),
        };
        let chosen = match which {
            "*" => &mut topics[..],
            number => std::slice::from_mut(topics.get_mut(number.parse::<usize>()?).context("no such topic")?),
        };
        for topic in chosen {
            perform(node, topic, &bootstrap, command).await?;
        }
    }
    Ok(())
}

async fn perform(node: &Node, topic: &mut Topic, bootstrap: &[EndpointId], command: &str) -> Result<()> {
    let (verb, argument) = command.split_once(' ').unwrap_or((command, ""));
    match verb {
        "broadcast" => {
            topic
                .sender()?
                .broadcast(Bytes::copy_from_slice(argument.as_bytes()))
                .await?
        }
        "broadcast-neighbors" => {
            let content = Bytes::copy_from_slice(argument.as_bytes());
            topic.sender()?.broadcast_neighbors(content).await?;
        }
        "bytes" => topic.sender()?.broadcast(filled(argument)?).await?,
        "bytes-neighbors" => topic.sender()?.broadcast_neighbors(filled(argument)?).await?,
        "burst" => burst(topic, argument).await?,
        "join" => {
            let peer = node.meet(&argument.parse()?);
            topic.sender()?.join_peers(vec![peer]).await?;
        }
        "leave" => topic.leave(),
        "subscribe" => *topic = Topic::subscribe(node, topic.id(), bootstrap.to_vec()).await?,
        _ => anyhow::bail!("no such command: {command}"),
    }
    Ok(())
}

fn filled(length: &str) -> Result<Bytes> {
    Ok(vec![b'x'; length.parse()?].into())
}

/// Contents that differ in their first eight bytes.
async fn burst(topic: &Topic, argument: &str) -> Result<()> {
    let (count, length) = argument.split_once(' ').context("burst COUNT BYTES")?;
    let length = length.parse::<usize>()?.max(8);
    for number in 0..count.parse::<u64>()? {
        let mut content = vec![b'x'; length];
        content[..8].copy_from_slice(&number.to_be_bytes());
        topic.sender()?.broadcast(content.into()).await?;
    }
    Ok(())
}
