//! Reads a broadcast and tells every frame by its length and hash.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use moq_lite::{BroadcastConsumer, Error, GroupConsumer, OriginConsumer, TrackConsumer};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::{
    report::{Commands, report},
    tracks::{TrackSpec, Tracks},
};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    tracks: Tracks,
    /// Tell nothing but how much came and what that took, at the end of each track.
    #[arg(long)]
    count: bool,
}

pub async fn run(options: Options, mut origin: OriginConsumer, mut commands: Commands) -> Result<()> {
    let mut live: Option<BroadcastConsumer> = None;
    let mut readers = JoinSet::new();
    loop {
        tokio::select! {
            Some((path, broadcast)) = origin.announced() => {
                tell_announcement(path.as_str(), broadcast.is_some());
                if path.as_str() == options.tracks.path {
                    live = broadcast;
                    read_tracks(&options, live.as_ref(), &mut readers);
                }
            }
            Some(reader) = readers.join_next() => reader?,
            command = commands.next() => match command.as_deref() {
                Some("leave") => readers.shutdown().await,
                Some("join") => read_tracks(&options, live.as_ref(), &mut readers),
                Some(command) => anyhow::bail!("unexpected command: {command}"),
                None => return Ok(()),
            }
        }
    }
}

pub async fn announced(mut origin: OriginConsumer, mut commands: Commands) -> Result<()> {
    loop {
        tokio::select! {
            Some((path, broadcast)) = origin.announced() => tell_announcement(path.as_str(), broadcast.is_some()),
            command = commands.next() => match command {
                Some(command) => anyhow::bail!("unexpected command: {command}"),
                None => return Ok(()),
            }
        }
    }
}

fn tell_announcement(path: &str, active: bool) {
    report("announce", json!({ "path": path, "active": active }));
}

fn read_tracks(options: &Options, broadcast: Option<&BroadcastConsumer>, readers: &mut JoinSet<()>) {
    let Some(broadcast) = broadcast else { return };
    for TrackSpec(track) in &options.tracks.track {
        let subscribed = broadcast.subscribe_track(track);
        let name = track.name.clone();
        let count = options.count;
        readers.spawn(async move {
            let ended = match subscribed {
                Ok(consumer) if count => count_track(&name, consumer).await,
                Ok(consumer) => read_track(&name, consumer).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => report("end", json!({ "track": name })),
                Err(error) => report(
                    "failed",
                    json!({ "track": name, "code": error.to_code(), "error": error.to_string() }),
                ),
            }
        });
    }
}

/// Groups arrive side by side and in any order: each is read on its own.
async fn read_track(name: &str, mut track: TrackConsumer) -> Result<(), Error> {
    let mut groups = JoinSet::new();
    while let Some(group) = track.recv_group().await? {
        let name = name.to_owned();
        groups.spawn(async move {
            let sequence = group.info.sequence;
            match read_group(&name, group).await {
                Ok(frames) => report("group", json!({ "track": name, "group": sequence, "frames": frames })),
                Err(error) => report(
                    "reset",
                    json!({ "track": name, "group": sequence, "code": error.to_code() }),
                ),
            }
        });
    }
    while groups.join_next().await.is_some() {}
    Ok(())
}

async fn read_group(name: &str, mut group: GroupConsumer) -> Result<u64, Error> {
    let mut index = 0;
    while let Some(frame) = group.read_frame().await? {
        let hash = hex::encode(Sha256::digest(&frame));
        report(
            "frame",
            json!({ "track": name, "group": group.info.sequence, "index": index, "bytes": frame.len(), "sha256": hash }),
        );
        index += 1;
    }
    Ok(index)
}

/// From the first group on.
async fn count_track(name: &str, mut track: TrackConsumer) -> Result<(), Error> {
    let mut groups = JoinSet::new();
    let mut started = None;
    while let Some(mut group) = track.recv_group().await? {
        started.get_or_insert_with(|| (Instant::now(), cpu_time()));
        groups.spawn(async move {
            let (mut frames, mut bytes) = (0, 0);
            while let Some(frame) = group.read_frame().await? {
                frames += 1;
                bytes += frame.len();
            }
            Ok::<_, Error>((frames, bytes))
        });
    }
    let (mut frames, mut bytes, mut reset) = (0, 0, 0);
    for group in groups.join_all().await {
        match group {
            Ok((some_frames, some_bytes)) => {
                frames += some_frames;
                bytes += some_bytes;
            }
            Err(_) => reset += 1,
        }
    }
    let took = started.map(|(at, cpu)| (at.elapsed(), cpu_time().zip(cpu).map(|(now, then)| now - then)));
    let wall = took.map(|(wall, _)| wall.as_millis() as u64);
    let cpu = took.and_then(|(_, cpu)| cpu).map(|cpu| cpu.as_millis() as u64);
    report(
        "counted",
        json!({ "track": name, "frames": frames, "bytes": bytes, "reset": reset, "ms": wall, "cpuMs": cpu }),
    );
    Ok(())
}

/// Of this process so far, in user and system mode; Linux tells it in ticks of 10 ms, others not at all.
fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // behind the name, which may hold spaces, they are fields 12 and 13
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields
        .get(11..13)?
        .iter()
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    Some(Duration::from_millis(ticks * 10))
}
