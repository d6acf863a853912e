//! A peer as iroh-live is one: the moq-lite crate that it locks, on raw QUIC over iroh. Driven by tests: it tells what happens as
//! JSON lines on stdout, takes commands as lines on stdin, and ends when stdin ends.

mod content;
mod node;
mod publish;
mod report;
mod subscribe;
mod tracks;

use anyhow::Result;
use clap::{Parser, Subcommand};
use moq_lite::Origin;
use node::Node;
use report::{Commands, report};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    node: node::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Publish a broadcast. Commands: `unpublish`, `publish` (anew, with other content).
    Publish(publish::Options),
    /// Read tracks of a broadcast, whenever it is announced. Commands: `leave`, `join`.
    Subscribe(subscribe::Options),
    /// Tell what is announced, and read nothing.
    Announced,
    /// Publish to everybody what any peer announces.
    Forward,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let published = Origin::produce();
    let remote = Origin::produce();
    let announced = remote.consume();
    let source = if matches!(cli.command, Command::Forward) {
        remote.consume()
    } else {
        published.consume()
    };
    let node = Node::bind(cli.node, source, remote).await?;
    let commands = Commands::new(node.endpoint());
    let work = async {
        match cli.command {
            Command::Publish(options) => publish::run(options, published, commands).await,
            Command::Subscribe(options) => subscribe::run(options, announced, commands).await,
            Command::Announced | Command::Forward => subscribe::announced(announced, commands).await,
        }
    };
    let ended = node.run(work).await;
    if let Err(error) = &ended {
        report("error", serde_json::json!({ "error": format!("{error:#}") }));
    }
    ended
}
