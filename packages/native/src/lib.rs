//! iroh for Node: the native half of `index.d.cts`, which is the contract and says what every function does.
//!
//! Nothing here is a promise. A `try...` call polls iroh's future on the calling JavaScript thread. When it is pending, its
//! waker (`reactor.rs`) puts the object's token into a queue and wakes JavaScript once, which takes all tokens in one call and
//! tries again. So what is ready costs one crossing, and what waits costs nothing.
//!
//! Three rules hold everywhere:
//!
//! - An expected outcome is a value (`BLOCKED`, `OVER`, ...), never an exception; wrong arguments are a `TypeError`
//!   (`arguments.rs`). Every function has `catch_unwind`: napi-rs would let a panic unwind into C and abort the process.
//! - Every object is touched by its JavaScript thread alone, so its state is in a `RefCell`, borrowed for one poll and never
//!   across a call into JavaScript. What the runtime's threads touch as well is atomic or behind a short `Mutex`.
//! - A stream keeps its connection, a connection its endpoint, by `Rc`: objects may be collected in any order. The other way
//!   round they know each other weakly, to end what goes with them.

mod admission;
mod arguments;
mod connection;
mod dial;
mod endpoint;
mod errors;
mod options;
mod path;
mod pending;
mod reactor;
mod streams;

use std::sync::LazyLock;

use napi_derive::napi;
use tokio::runtime::{Builder, Runtime};

/// What a try answers when there is no value; `index.cjs` exports the same numbers.
pub const BLOCKED: i32 = -1;
pub const OVER: i32 = -2;
pub const END: i32 = -3;
pub const TOO_LARGE: i32 = -4;

/// The threads of all endpoints of the process. Our own and never shut down: that of napi-rs ends with the environment that
/// made it, which may be a worker thread's, under the endpoints of the others.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    // One thread is as fast as two for one endpoint; more than four only compete with JavaScript.
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().clamp(1, 4));
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("effect-live")
        .enable_all()
        .build()
        .expect("the threads of the endpoint could not be started")
});

/// Which releases are inside.
#[napi(object, object_from_js = false)]
pub struct Versions {
    pub addon: &'static str,
    pub iroh: &'static str,
    pub noq: &'static str,
}

#[napi(catch_unwind)]
pub fn versions() -> Versions {
    Versions {
        addon: env!("CARGO_PKG_VERSION"),
        iroh: env!("VERSION_IROH"),
        noq: env!("VERSION_NOQ"),
    }
}

/// Panics, to show that a panic reaches JavaScript as an `Error`.
#[napi(catch_unwind)]
pub fn panic_for_test() {
    panic!("panicked for a test");
}
