//! Which tracks are written or read.

use std::str::FromStr;

use clap::Args;
use moq_lite::Track;

#[derive(Args)]
pub struct Tracks {
    /// Of their broadcast.
    #[arg(long, default_value = "hello")]
    pub path: String,
    /// `NAME` or `NAME:PRIORITY`.
    #[arg(long, default_value = "data")]
    pub track: Vec<TrackSpec>,
}

/// A track's name and priority.
#[derive(Clone)]
pub struct TrackSpec(pub Track);

impl FromStr for TrackSpec {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, priority) = text.rsplit_once(':').unwrap_or((text, "0"));
        Ok(Self(Track {
            name: name.into(),
            priority: priority.parse()?,
        }))
    }
}
