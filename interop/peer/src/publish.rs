//! A broadcast whose every frame is known beforehand.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use clap::Args;
use moq_lite::{Broadcast, BroadcastProducer, Error, OriginProducer, TrackProducer};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    content::content,
    report::{Commands, report},
    tracks::{TrackSpec, Tracks},
};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    tracks: Tracks,
    #[command(flatten)]
    plan: Plan,
}

#[derive(Args, Clone)]
struct Plan {
    /// After so many the track is finished; the broadcast stays.
    #[arg(long, default_value_t = u64::MAX)]
    groups: u64,
    #[arg(long, default_value_t = 5)]
    frames: u64,
    /// Of the first frame of a group; each further one has one more.
    #[arg(long, default_value_t = 1000)]
    bytes: usize,
    /// Between two groups.
    #[arg(long, default_value_t = 50)]
    interval_ms: u64,
    /// Aborts every so many groups (the 2nd, 5th and so on for 3) after half of its frames.
    #[arg(long)]
    reset_every: Option<u64>,
    /// Writes nothing before somebody has subscribed.
    #[arg(long)]
    wait: bool,
    /// Frames of zeros, made once, so that making them takes no time.
    #[arg(long)]
    zeros: bool,
}

pub async fn run(options: Options, origin: OriginProducer, mut commands: Commands) -> Result<()> {
    let mut seed = 0;
    let mut live = Some(Live::start(&options, &origin, seed)?);
    while let Some(command) = commands.next().await {
        match (command.as_str(), &live) {
            ("unpublish", _) => live = None,
            ("publish", None) => {
                seed += 1;
                live = Some(Live::start(&options, &origin, seed)?);
            }
            _ => anyhow::bail!("unexpected command: {command}"),
        }
    }
    drop(live);
    Ok(())
}

/// A published broadcast and the writers of its tracks: dropped, it is unpublished.
struct Live {
    _broadcast: BroadcastProducer,
    _writers: JoinSet<()>,
}

impl Live {
    fn start(options: &Options, origin: &OriginProducer, seed: u32) -> Result<Self> {
        let mut broadcast = Broadcast::produce();
        let mut writers = JoinSet::new();
        for TrackSpec(track) in &options.tracks.track {
            let producer = broadcast.create_track(track.clone())?;
            let (name, plan) = (track.name.clone(), options.plan.clone());
            writers.spawn(async move {
                match write(producer, plan, seed).await {
                    Ok(groups) => report("finished", json!({ "track": name, "groups": groups })),
                    Err(error) => report("failed", json!({ "track": name, "error": error.to_string() })),
                }
            });
        }
        origin.publish_broadcast(options.tracks.path.as_str(), broadcast.consume());
        Ok(Self {
            _broadcast: broadcast,
            _writers: writers,
        })
    }
}

async fn write(mut track: TrackProducer, plan: Plan, seed: u32) -> Result<u64, Error> {
    if plan.wait {
        track.used().await?;
    }
    let interval = Duration::from_millis(plan.interval_ms);
    let zeros = plan
        .zeros
        .then(|| Bytes::from(vec![0; plan.bytes + plan.frames as usize]));
    for sequence in 0..plan.groups {
        let mut group = track.append_group()?;
        let reset = plan.reset_every.is_some_and(|every| sequence % every == every / 2);
        let frames = if reset { plan.frames / 2 } else { plan.frames };
        for frame in 0..frames {
            let bytes = plan.bytes + frame as usize;
            group.write_frame(match &zeros {
                Some(zeros) => zeros.slice(..bytes),
                None => content(seed, sequence, frame, bytes),
            })?;
        }
        tokio::time::sleep(interval).await;
        if reset {
            group.abort(Error::Cancel)?;
        } else {
            group.finish()?;
        }
    }
    track.finish()?;
    Ok(plan.groups)
}
