//! What an endpoint can be told, from JavaScript's options to iroh's builder.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use iroh::address_lookup::memory::MemoryLookup;
use iroh::address_lookup::{DnsAddressLookup, PkarrPublisher, PkarrResolver};
use iroh::endpoint::{Builder, ControllerFactory, IdleTimeout, QuicTransportConfig, VarInt, presets};
use iroh::{EndpointAddr, EndpointId, RelayMode, RelayUrl, SecretKey};
use napi::bindgen_prelude::FromNapiValue;
use napi::{Result, sys};
use noq::congestion::{Bbr3Config, CubicConfig, NewRenoConfig};

use crate::admission::Limits;
use crate::arguments::Properties;

/// `BindOptions`
const NAMES: [&str; 21] = [
    "secretKey",
    "alpns",
    "bindAddrs",
    "relays",
    "dns",
    "pkarr",
    "congestion",
    "initialWindowBytes",
    "initialRttMs",
    "idleTimeoutMs",
    "keepAliveMs",
    "sendWindowBytes",
    "receiveWindowBytes",
    "streamReceiveWindowBytes",
    "maxUniStreams",
    "maxBiStreams",
    "datagramSendBufferBytes",
    "datagramReceiveBufferBytes",
    "maxHandshakes",
    "acceptBacklog",
    "handshakeTimeoutMs",
];

/// Everything that `bind` needs.
pub struct Options {
    pub builder: Builder,
    pub known: MemoryLookup,
    pub limits: Limits,
    pub connections: Connections,
}

/// What iroh is told, or does not tell, of each connection.
#[derive(Clone, Copy)]
pub struct Connections {
    /// Once somebody has taken it.
    pub receive_window: VarInt,
    /// Who takes no datagrams sends none either.
    pub datagrams: bool,
}

impl FromNapiValue for Options {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        // SAFETY: the value is alive in the scope of the call.
        let options = unsafe { Properties::from_napi_value(env, value) }?;
        options.only(&NAMES)?;
        let known = MemoryLookup::new();
        let (transport, connections) = transport(&options)?;
        let mut builder = iroh::Endpoint::builder(presets::Minimal)
            .transport_config(transport)
            .relay_mode(relay_mode(&options)?)
            .address_lookup(known.clone());
        if let Some(key) = options.bytes("secretKey")? {
            let key: &[u8; 32] = key
                .try_into()
                .map_err(|_| options.error("secretKey must have 32 bytes"))?;
            builder = builder.secret_key(SecretKey::from_bytes(key));
        }
        if let Some(alpns) = options.alpns("alpns")? {
            builder = builder.alpns(alpns.0);
        }
        if let Some(addrs) = options.texts("bindAddrs")? {
            builder = builder.clear_ip_transports();
            for addr in addrs {
                let addr = SocketAddr::from_str(&addr).map_err(|_| options.error("bindAddrs must be ip:port"))?;
                builder = builder
                    .bind_addr(addr)
                    .map_err(|error| options.error(&format!("bindAddrs: {error}")))?;
            }
        }
        if options.boolean("dns")? {
            builder = builder.address_lookup(DnsAddressLookup::n0_dns());
        }
        if options.boolean("pkarr")? {
            builder = builder
                .address_lookup(PkarrPublisher::n0_dns())
                .address_lookup(PkarrResolver::n0_dns());
        }
        let limits = Limits {
            max_handshakes: options.integer("maxHandshakes", 1, u32::MAX)?.unwrap_or(64),
            backlog: options.integer("acceptBacklog", 1, u32::MAX)?.unwrap_or(256),
            handshake_timeout: milliseconds(&options, "handshakeTimeoutMs")?.unwrap_or(Duration::from_secs(10)),
        };
        Ok(Self {
            builder,
            known,
            limits,
            connections,
        })
    }
}

fn relay_mode(options: &Properties) -> Result<RelayMode> {
    match options.text_or_texts("relays")? {
        None => Ok(RelayMode::Disabled),
        Some(Ok(mode)) if mode == "disabled" => Ok(RelayMode::Disabled),
        Some(Ok(mode)) if mode == "default" => Ok(RelayMode::Default),
        Some(Ok(_)) => Err(options.error("relays must be disabled, default or an array of URLs")),
        Some(Err(urls)) => Ok(RelayMode::custom(relay_urls(options, urls)?)),
    }
}

fn relay_urls(options: &Properties, urls: Vec<String>) -> Result<Vec<RelayUrl>> {
    let parse = |url: String| RelayUrl::from_str(&url).map_err(|_| options.error("relays must be URLs"));
    urls.into_iter().map(parse).collect()
}

fn milliseconds(options: &Properties, name: &str) -> Result<Option<Duration>> {
    Ok(options
        .integer(name, 1, u32::MAX)?
        .map(|ms| Duration::from_millis(ms.into())))
}

/// noq ends a whole connection with an internal error when one stream has more than 1,024 gaps, which is every other packet of
/// some 2.4 MB: a larger window turns a burst of losses into the loss of the connection.
const MAX_STREAM_WINDOW_BYTES: u32 = 2_400_000;

/// The streams' own windows are no limit: a peer that fills all that it may open would have us hold gigabytes. So much that some
/// dozens of streams which nobody reads do not hold up the others.
const RECEIVE_WINDOW_BYTES: u32 = 64 << 20;
/// Of a connection that nobody has taken yet: many may wait, and peers begin slowly.
const UNTAKEN_WINDOW_BYTES: u32 = 256 << 10;

/// The least that can work: with smaller ones not one packet would ever be sent (RFC 9002 section 7.2 begins at two).
const MIN_INITIAL_WINDOW_BYTES: u32 = 2400;
const MIN_SEND_WINDOW_BYTES: u32 = 1200;
/// The largest datagram that a path takes here, and a little more.
const MIN_DATAGRAM_SEND_BUFFER_BYTES: u32 = 1500;
/// The largest that UDP has, with what noq counts besides: one that does not fit would end the whole connection.
const MIN_DATAGRAM_RECEIVE_BUFFER_BYTES: u32 = 65_567;

/// What counts for every connection, dialed or accepted. What is not given stays as iroh has it.
fn transport(options: &Properties) -> Result<(QuicTransportConfig, Connections)> {
    let receive_window = options.integer("receiveWindowBytes", 1, u32::MAX)?;
    let receive_window = receive_window.unwrap_or(RECEIVE_WINDOW_BYTES);
    let mut config = QuicTransportConfig::builder()
        .congestion_controller_factory(congestion(options)?)
        .receive_window(VarInt::from_u32(receive_window.min(UNTAKEN_WINDOW_BYTES)));
    if let Some(rtt) = milliseconds(options, "initialRttMs")? {
        config = config.initial_rtt(rtt);
    }
    if let Some(timeout) = milliseconds(options, "idleTimeoutMs")? {
        let timeout = IdleTimeout::try_from(timeout).map_err(|_| options.error("idleTimeoutMs is too large"))?;
        config = config.max_idle_timeout(Some(timeout));
    }
    if let Some(interval) = milliseconds(options, "keepAliveMs")? {
        config = config
            .keep_alive_interval(interval)
            .default_path_keep_alive_interval(interval);
    }
    if let Some(window) = options.integer("sendWindowBytes", MIN_SEND_WINDOW_BYTES, u32::MAX)? {
        config = config.send_window(window.into());
    }
    if let Some(window) = options.integer("streamReceiveWindowBytes", 1, MAX_STREAM_WINDOW_BYTES)? {
        config = config.stream_receive_window(VarInt::from_u32(window));
    }
    if let Some(streams) = options.integer("maxUniStreams", 0, u32::MAX)? {
        config = config.max_concurrent_uni_streams(VarInt::from_u32(streams));
    }
    if let Some(streams) = options.integer("maxBiStreams", 0, u32::MAX)? {
        config = config.max_concurrent_bidi_streams(VarInt::from_u32(streams));
    }
    if let Some(size) = options.integer("datagramSendBufferBytes", MIN_DATAGRAM_SEND_BUFFER_BYTES, u32::MAX)? {
        config = config.datagram_send_buffer_size(size as usize);
    }
    let datagram_buffer = options.integer("datagramReceiveBufferBytes", 0, u32::MAX)?;
    match datagram_buffer {
        None => {}
        Some(0) => config = config.datagram_receive_buffer_size(None),
        Some(1..MIN_DATAGRAM_RECEIVE_BUFFER_BYTES) => {
            return Err(options.error(&format!(
                "datagramReceiveBufferBytes must be 0 or at least {MIN_DATAGRAM_RECEIVE_BUFFER_BYTES}"
            )));
        }
        Some(size) => config = config.datagram_receive_buffer_size(Some(size as usize)),
    }
    let connections = Connections {
        receive_window: VarInt::from_u32(receive_window),
        datagrams: datagram_buffer != Some(0),
    };
    Ok((config.build(), connections))
}

fn congestion(options: &Properties) -> Result<Arc<dyn ControllerFactory + Send + Sync>> {
    let window = options
        .integer("initialWindowBytes", MIN_INITIAL_WINDOW_BYTES, u32::MAX)?
        .map(u64::from);
    macro_rules! configured {
        ($config:expr) => {{
            let mut config = $config;
            if let Some(window) = window {
                config.initial_window(window);
            }
            Arc::new(config)
        }};
    }
    Ok(match options.text("congestion")?.as_deref() {
        None | Some("cubic") => configured!(CubicConfig::default()),
        Some("bbr3") => configured!(Bbr3Config::default()),
        Some("newReno") => configured!(NewRenoConfig::default()),
        Some(_) => return Err(options.error("congestion must be cubic, bbr3 or newReno")),
    })
}

/// Where a peer lives.
pub struct Addr(pub EndpointAddr);

impl FromNapiValue for Addr {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        // SAFETY: the value is alive in the scope of the call.
        let properties = unsafe { Properties::from_napi_value(env, value) }?;
        let id = parse_id(&properties.text("id")?.unwrap_or_default())
            .ok_or_else(|| properties.error("id must be an endpoint's id"))?;
        let mut addr = EndpointAddr::new(id);
        // They come from strangers, and what is a URL to somebody else may be none to iroh: the other ways are still tried.
        for url in properties.texts("relays")?.unwrap_or_default() {
            if let Ok(url) = RelayUrl::from_str(&url) {
                addr = addr.with_relay_url(url);
            }
        }
        for ip in properties.texts("ips")?.unwrap_or_default() {
            addr = addr.with_ip_addr(ip.parse().map_err(|_| properties.error("ips must be ip:port"))?);
        }
        Ok(Self(addr))
    }
}

pub fn parse_id(text: &str) -> Option<EndpointId> {
    EndpointId::from_str(text).ok()
}
