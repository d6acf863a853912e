//! What plain Rust reaches on the same path: the measure for the native endpoint.
//!
//! ```text
//! bench-rust server <bulk|groups|frames> <amount>
//! bench-rust client <bulk|groups|frames> <amount> <id> <ip:port>
//! ```
//!
//! - `bulk`: one stream of `amount` MiB, written in pieces of 64 KiB
//! - `groups`: `amount` streams, one after the other, of 30 frames of 1 to 4 KiB each
//! - `frames`: `amount` streams of one such frame
//!
//! The server says where it is in a first line of JSON and what it received in a second one, the client says what it sent. A
//! frame is its length in four bytes, big endian, and that many bytes. `packages/native/bench/bare.mjs` speaks the same.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use iroh::endpoint::{QuicTransportConfig, RecvStream, SendStream, presets};
use iroh::{Endpoint, EndpointAddr};
use tokio::task::JoinSet;

const ALPN: &[u8] = b"effect-live/bench";
const CHUNK: usize = 64 * 1024;
const MAX_STREAMS: u32 = 1024;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Bulk,
    Groups,
    Frames,
}

impl Mode {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "bulk" => Self::Bulk,
            "groups" => Self::Groups,
            "frames" => Self::Frames,
            _ => bail!("the mode must be bulk, groups or frames"),
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["server", mode, amount] => serve(Mode::parse(mode)?, amount.parse()?).await,
        ["client", mode, amount, id, addr] => {
            let addr = EndpointAddr::new(id.parse()?).with_ip_addr(addr.parse()?);
            send(Mode::parse(mode)?, amount.parse()?, addr).await
        }
        _ => bail!("bench-rust server <mode> <amount> | client <mode> <amount> <id> <ip:port>"),
    }
}

async fn bind() -> Result<Endpoint> {
    let transport = QuicTransportConfig::builder()
        .max_concurrent_uni_streams(MAX_STREAMS.into())
        .build();
    let builder = Endpoint::builder(presets::Minimal)
        .alpns(vec![ALPN.to_vec()])
        .transport_config(transport);
    Ok(builder.clear_ip_transports().bind_addr("127.0.0.1:0")?.bind().await?)
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    // SAFETY: it only fills the structure that it is given.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let of = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    of(usage.ru_utime) + of(usage.ru_stime)
}

fn report(role: &str, frames: u64, bytes: u64, started: Instant, cpu_before: Duration) {
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let cpu_ms = (cpu() - cpu_before).as_secs_f64() * 1e3;
    println!(r#"{{"role":"{role}","frames":{frames},"bytes":{bytes},"ms":{ms:.1},"cpuMs":{cpu_ms:.1}}}"#);
}

async fn serve(mode: Mode, amount: u64) -> Result<()> {
    let endpoint = bind().await?;
    println!(
        r#"{{"id":"{}","addr":"{}"}}"#,
        endpoint.id(),
        endpoint.bound_sockets()[0]
    );
    let connection = endpoint.accept().await.context("the endpoint was closed")?.await?;
    let streams = if mode == Mode::Bulk { 1 } else { amount };
    let mut next = connection.accept_uni().await?;
    let (started, cpu_before) = (Instant::now(), cpu());
    let mut receiving = JoinSet::new();
    for stream in 1..=streams {
        if mode == Mode::Bulk {
            receiving.spawn(receive_bytes(next));
        } else {
            receiving.spawn(receive_frames(next));
        }
        if stream == streams {
            break;
        }
        next = connection.accept_uni().await?;
    }
    let (mut frames, mut bytes) = (0, 0);
    while let Some(received) = receiving.join_next().await {
        let (more_frames, more_bytes) = received??;
        frames += more_frames;
        bytes += more_bytes;
    }
    report("receive", frames, bytes, started, cpu_before);
    connection.close(0u32.into(), b"received");
    endpoint.close().await;
    Ok(())
}

/// Frames (none) and bytes of a stream.
async fn receive_bytes(mut stream: RecvStream) -> Result<(u64, u64)> {
    let mut chunks: [Bytes; 32] = std::array::from_fn(|_| Bytes::new());
    let mut bytes = 0;
    while let Some(count) = stream.read_many_chunks(&mut chunks).await? {
        bytes += chunks[..count].iter().map(|chunk| chunk.len() as u64).sum::<u64>();
    }
    Ok((0, bytes))
}

/// Frames of a stream, and their bytes without the lengths.
async fn receive_frames(mut stream: RecvStream) -> Result<(u64, u64)> {
    let mut chunks: [Bytes; 32] = std::array::from_fn(|_| Bytes::new());
    let mut pending: Vec<u8> = Vec::new();
    let (mut frames, mut bytes) = (0, 0);
    while let Some(count) = stream.read_many_chunks(&mut chunks).await? {
        for chunk in &chunks[..count] {
            pending.extend_from_slice(chunk);
        }
        let mut at = 0;
        while let Some((head, rest)) = pending[at..].split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*head) as usize;
            if rest.len() < length {
                break;
            }
            frames += 1;
            bytes += length as u64;
            at += 4 + length;
        }
        pending.drain(..at);
    }
    Ok((frames, bytes))
}

async fn send(mode: Mode, amount: u64, addr: EndpointAddr) -> Result<()> {
    let endpoint = bind().await?;
    let connection = endpoint.connect(addr, ALPN).await?;
    let (started, cpu_before) = (Instant::now(), cpu());
    let source = Bytes::from(vec![7; CHUNK]);
    let (mut frames, mut bytes) = (0, 0);
    if mode == Mode::Bulk {
        let mut stream = connection.open_uni().await?;
        while bytes < amount << 20 {
            stream.write_all(&source).await?;
            bytes += source.len() as u64;
        }
        stream.finish()?;
    } else {
        let per_stream = if mode == Mode::Groups { 30 } else { 1 };
        for _ in 0..amount {
            let mut stream = connection.open_uni().await?;
            for _ in 0..per_stream {
                let length = frame_bytes(frames);
                send_frame(&mut stream, &source[..length]).await?;
                frames += 1;
                bytes += length as u64;
            }
            stream.finish()?;
        }
    }
    // The server closes when it has everything.
    connection.closed().await;
    report("send", frames, bytes, started, cpu_before);
    endpoint.close().await;
    Ok(())
}

/// 1 to 4 KiB, all mixed.
fn frame_bytes(frame: u64) -> usize {
    1024 + (frame * 7919 % 3073) as usize
}

/// A frame comes from somewhere, so it is copied once; its length goes in the same call.
async fn send_frame(stream: &mut SendStream, payload: &[u8]) -> Result<()> {
    let head = Bytes::copy_from_slice(&(payload.len() as u32).to_be_bytes());
    stream
        .write_all_chunks(&mut [head, Bytes::copy_from_slice(payload)])
        .await?;
    Ok(())
}
