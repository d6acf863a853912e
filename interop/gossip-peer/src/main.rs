//! The gossip of number 0, as it is on crates.io. Driven by tests and measurements: it tells what happens as JSON lines on stdout,
//! takes commands as lines on stdin, and leaves its topics and ends when stdin ends.

mod commands;
mod count;
mod node;
mod report;
mod topic;

use anyhow::Result;
use clap::Parser;
use node::Node;
use report::report;

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let node = Node::bind(node::Options::parse()).await?;
    let ended = commands::run(&node).await;
    if let Err(error) = &ended {
        report("error", serde_json::json!({ "error": format!("{error:#}") }));
    }
    node.close().await?;
    ended
}
