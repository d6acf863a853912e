//! What a connection tells of the ways that its packets take.

use iroh::TransportAddr;
use napi_derive::napi;

/// One way the packets may take.
#[napi(object, object_from_js = false)]
#[derive(Clone)]
pub struct Path {
    pub id: u32,
    pub kind: &'static str,
    pub remote: String,
    pub selected: bool,
    pub rtt_us: f64,
    pub congestion_window_bytes: f64,
    pub mtu_bytes: u32,
    pub sent_packets: f64,
    pub lost_packets: f64,
    pub lost_bytes: f64,
    pub congestion_events: f64,
    pub sent_bytes: f64,
    pub received_bytes: f64,
}

impl Path {
    pub fn new(path: &iroh::endpoint::Path) -> Self {
        let stats = path.stats();
        Self {
            id: path.id().to_string().parse().unwrap_or(0),
            kind: if path.is_relay() { "relay" } else { "direct" },
            remote: match path.remote_addr() {
                TransportAddr::Ip(addr) => addr.to_string(),
                TransportAddr::Relay(url) => url.to_string(),
                other => format!("{other:?}"),
            },
            selected: path.is_selected(),
            rtt_us: stats.rtt.as_micros() as f64,
            congestion_window_bytes: stats.cwnd as f64,
            mtu_bytes: stats.current_mtu.into(),
            sent_packets: stats.sent_packets as f64,
            lost_packets: stats.lost_packets as f64,
            lost_bytes: stats.lost_bytes as f64,
            congestion_events: stats.congestion_events as f64,
            sent_bytes: stats.udp_tx.bytes as f64,
            received_bytes: stats.udp_rx.bytes as f64,
        }
    }
}
