//! How many messages have come, and how fast: for measurements, where a line for each would be most of the work.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use iroh_gossip::metrics::Metrics;
use serde_json::json;

use crate::report::report;

const GLANCE: Duration = Duration::from_millis(1);

/// Tells each time so many have come, from the first one on. What a subscription is too slow for is counted, too.
pub async fn count(metrics: Arc<Metrics>, every: u64) {
    let mut before = 0;
    loop {
        let (started, cpu_before) = loop {
            tokio::time::sleep(GLANCE).await;
            if metrics.msgs_data_recv.get() > before {
                break (Instant::now(), cpu());
            }
        };
        while metrics.msgs_data_recv.get() < before + every {
            tokio::time::sleep(GLANCE).await;
        }
        before += every;
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let (elapsed, used) = (ms(started.elapsed()), ms(cpu() - cpu_before));
        report("counted", json!({ "messages": every, "ms": elapsed, "cpuMs": used }));
    }
}

/// Processor time of this process.
fn cpu() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a whole rusage, of which all zeros is a valid one
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}
