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

use std::sync::OnceLock;

use napi_derive::napi;
use tokio::runtime::{Builder, Runtime};

/// What a try answers when there is no value; `index.cjs` exports the same numbers.
pub const BLOCKED: i32 = -1;
pub const OVER: i32 = -2;
pub const END: i32 = -3;
pub const TOO_LARGE: i32 = -4;

/// The threads of all endpoints of the process. Our own and never shut down: that of napi-rs ends with the environment that
/// made it, which may be a worker thread's, under the endpoints of the others.
static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Starts them if they do not run yet. Where the system has no threads or descriptors now, it may have them later.
fn start_runtime() -> std::io::Result<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    // Half of the cores, and four at most: JavaScript needs the others, and each thread more has to be woken.
    let threads = std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).clamp(1, 4));
    let started = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("effect-live")
        .enable_all()
        .build()?;
    // Two threads of JavaScript may begin at once; the first one's counts.
    Ok(RUNTIME.get_or_init(|| started))
}

/// For what belongs to an endpoint that was bound.
fn runtime() -> &'static Runtime {
    RUNTIME.get().expect("an endpoint was bound without its threads")
}

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

/// What `index.cjs` compares with its own number: one more whenever either of the two no longer goes with an older other one.
#[napi(catch_unwind)]
pub fn abi() -> u32 {
    1
}

/// Panics, to show that a panic reaches JavaScript as an `Error`.
#[napi(catch_unwind)]
pub fn panic_for_test() {
    panic!("panicked for a test");
}
