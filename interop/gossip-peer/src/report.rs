//! What is told on stdout.

use std::io::Write;

use serde_json::{Map, Value};

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
