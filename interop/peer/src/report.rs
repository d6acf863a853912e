//! What is told on stdout and heard on stdin.

use std::io::Write;

use iroh::Endpoint;
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin, stdin};

/// One line: the event, and its fields.
pub fn report(event: &str, fields: Value) {
    let mut line = Map::new();
    line.insert("event".into(), event.into());
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    // nobody listens any more: stdin ends too, and that ends the process
    let _ = writeln!(std::io::stdout(), "{}", Value::Object(line));
}

/// Lines of stdin; `None` once whoever drives this process is gone.
pub struct Commands {
    lines: Lines<BufReader<Stdin>>,
    endpoint: Endpoint,
}

impl Commands {
    pub fn new(endpoint: Endpoint) -> Self {
        let lines = BufReader::new(stdin()).lines();
        Self { lines, endpoint }
    }

    /// The next one, except `address IP:PORT`, which every role understands: tell our peers that we are reached there, too.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let line = self.lines.next_line().await.ok().flatten()?;
            match line.strip_prefix("address ").map(str::parse) {
                Some(Ok(address)) => self.endpoint.add_external_addr(address).await,
                _ => return Some(line),
            }
        }
    }
}
