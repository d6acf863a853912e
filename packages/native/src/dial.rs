//! A dial on its way.

use std::rc::Rc;

use napi::Env;
use napi::bindgen_prelude::Either;
use napi_derive::napi;

use crate::connection::{Connection, Tried};
use crate::endpoint::Shared;
use crate::errors::Failure;
use crate::pending::Pending;
use crate::{BLOCKED, OVER};

/// A dial that is under way. When it is collected it is given up.
#[napi]
pub struct Dial {
    pending: Pending<iroh::endpoint::Connection>,
    endpoint: Rc<Shared>,
}

impl Dial {
    pub fn new(pending: Pending<iroh::endpoint::Connection>, endpoint: &Rc<Shared>) -> Self {
        Self {
            pending,
            endpoint: endpoint.clone(),
        }
    }
}

#[napi]
impl Dial {
    #[napi(getter, catch_unwind)]
    pub fn token(&self) -> f64 {
        self.pending.token()
    }

    #[napi(catch_unwind)]
    pub fn poll(&self, env: &Env) -> Tried<Connection> {
        match self.pending.poll() {
            Ok(Some(connection)) => Either::A(Connection::new(env, connection, &self.endpoint)),
            Ok(None) => Either::B(BLOCKED),
            Err(()) => Either::B(OVER),
        }
    }

    #[napi(catch_unwind)]
    pub fn failure(&self) -> Option<Failure> {
        self.pending.failure()
    }

    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.pending.cancel();
    }
}
