//! How things end, as plain objects for JavaScript. Texts in them are for people and may change with iroh.

use iroh::endpoint::{
    BindError, ConnectWithOptsError, ConnectingError, ConnectionError, QuicConnectError, TransportErrorCode, VarInt,
};
use napi_derive::napi;

use crate::arguments::MAX_SAFE_INTEGER;

/// A peer may use codes up to 2^62-1, which a JavaScript number cannot hold: they are given as the largest that it can.
pub fn number(code: VarInt) -> f64 {
    code.into_inner().min(MAX_SAFE_INTEGER) as f64
}

/// How a connection ended.
#[napi(object, object_from_js = false, use_nullable = true)]
#[derive(Clone)]
pub struct Close {
    pub kind: &'static str,
    pub code: Option<f64>,
    pub reason: String,
}

impl Close {
    pub fn local(code: VarInt, reason: &str) -> Self {
        Self {
            kind: "local",
            code: Some(number(code)),
            reason: reason.to_string(),
        }
    }

    fn transport(code: Option<u64>, reason: String) -> Self {
        Self {
            kind: "transport",
            code: code.map(|code| code as f64),
            reason,
        }
    }

    /// How iroh says that it ended. Of our own close it keeps neither code nor reason: `connection.rs` does, and what is left
    /// here is an endpoint that went away under its connections.
    pub fn new(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::LocallyClosed => Self::local(VarInt::from_u32(0), ""),
            ConnectionError::ApplicationClosed(close) => Self {
                kind: "remote",
                code: Some(number(close.error_code)),
                reason: String::from_utf8_lossy(&close.reason).into_owned(),
            },
            ConnectionError::ConnectionClosed(close) if application_closed(close.error_code) => Self {
                kind: "remote",
                code: Some(0.0),
                reason: String::new(),
            },
            ConnectionError::TimedOut => Self {
                kind: "idle",
                code: None,
                reason: String::new(),
            },
            ConnectionError::ConnectionClosed(close) => {
                Self::transport(Some(close.error_code.into()), format!("the peer: {close}"))
            }
            ConnectionError::TransportError(error) => Self::transport(Some(error.code.into()), error.to_string()),
            other => Self::transport(None, other.to_string()),
        }
    }
}

/// The peer's application closed while the handshake was going on: RFC 9000 section 10.2.3 keeps code and reason back then.
fn application_closed(code: TransportErrorCode) -> bool {
    code == TransportErrorCode::APPLICATION_ERROR
}

/// Why a stream is over.
#[napi(object, object_from_js = false, use_nullable = true)]
#[derive(Clone)]
pub struct Ended {
    pub kind: &'static str,
    pub code: Option<f64>,
}

impl Ended {
    pub const FINISHED: Self = Self {
        kind: "finished",
        code: None,
    };
    pub const OURS: Self = Self {
        kind: "ended",
        code: None,
    };
    pub const LOST: Self = Self {
        kind: "lost",
        code: None,
    };

    pub fn stopped(code: VarInt) -> Self {
        Self {
            kind: "stopped",
            code: Some(number(code)),
        }
    }

    pub fn reset(code: VarInt) -> Self {
        Self {
            kind: "reset",
            code: Some(number(code)),
        }
    }

    pub fn is_finished(&self) -> bool {
        self.kind == Self::FINISHED.kind
    }
}

/// Why an endpoint or a connection did not come about.
#[napi(object, object_from_js = false, use_nullable = true)]
#[derive(Clone)]
pub struct Failure {
    pub kind: &'static str,
    pub code: Option<f64>,
    pub message: String,
}

impl Failure {
    pub fn new(kind: &'static str, message: impl std::fmt::Display) -> Self {
        Self {
            kind,
            code: None,
            message: message.to_string(),
        }
    }

    pub fn cancelled() -> Self {
        Self::new("cancelled", "the dial was given up")
    }

    pub fn endpoint_closed() -> Self {
        Self::new("endpointClosed", "the endpoint is closed")
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        let taken = match &error {
            BindError::Sockets { source, .. } | BindError::CreateQuicEndpoint { source, .. } => {
                source.kind() == std::io::ErrorKind::AddrInUse
            }
            _ => false,
        };
        Self::new(if taken { "addressInUse" } else { "other" }, format!("{error:#}"))
    }
}

impl From<ConnectWithOptsError> for Failure {
    fn from(error: ConnectWithOptsError) -> Self {
        let kind = match &error {
            ConnectWithOptsError::SelfConnect { .. } => "self",
            ConnectWithOptsError::NoAddress { .. } => "noAddress",
            // iroh's own actors are gone only when the endpoint is going.
            ConnectWithOptsError::EndpointClosed { .. }
            | ConnectWithOptsError::InternalConsistencyError { .. }
            | ConnectWithOptsError::Noq {
                source: QuicConnectError::EndpointStopping,
                ..
            } => {
                return Self::endpoint_closed();
            }
            _ => "other",
        };
        Self::new(kind, format!("{error:#}"))
    }
}

impl From<ConnectingError> for Failure {
    fn from(error: ConnectingError) -> Self {
        match &error {
            ConnectingError::ConnectionError { source, .. } => source.into(),
            ConnectingError::InternalConsistencyError { .. } => Self::endpoint_closed(),
            _ => Self::new("other", format!("{error:#}")),
        }
    }
}

/// TLS alerts (RFC 8446 section 6) as QUIC carries them.
const UNKNOWN_CA: u8 = 48;
const NO_APPLICATION_PROTOCOL: u8 = 120;

impl From<&ConnectionError> for Failure {
    fn from(error: &ConnectionError) -> Self {
        let alert = |alert, code: TransportErrorCode| code == TransportErrorCode::crypto(alert);
        match error {
            ConnectionError::ConnectionClosed(close) if alert(NO_APPLICATION_PROTOCOL, close.error_code) => {
                Self::new("wrongAlpn", "the peer speaks none of the protocols offered")
            }
            ConnectionError::ConnectionClosed(close) if close.error_code == TransportErrorCode::CONNECTION_REFUSED => {
                Self::new("refused", "the peer refused the connection")
            }
            ConnectionError::ConnectionClosed(close) if application_closed(close.error_code) => Self {
                kind: "closedByPeer",
                code: Some(0.0),
                message: String::new(),
            },
            // We gave it up ourselves: whoever answered proved another key than the one that was dialed.
            ConnectionError::TransportError(error) if alert(UNKNOWN_CA, error.code) => {
                Self::new("wrongId", "somebody else answered at that address")
            }
            ConnectionError::TimedOut => Self::new("timedOut", "nobody answered in time"),
            ConnectionError::LocallyClosed => Self::endpoint_closed(),
            ConnectionError::ApplicationClosed(close) => Self {
                kind: "closedByPeer",
                code: Some(number(close.error_code)),
                message: String::from_utf8_lossy(&close.reason).into_owned(),
            },
            other => Self::new("other", other),
        }
    }
}
