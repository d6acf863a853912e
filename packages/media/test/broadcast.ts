/** Media without files, for tests in the simulated world. */
import { Import, type Sample } from "@effect-live/media"

export const videoName = "video/h264-360p"
export const audioName = "audio/opus-hq"

export const tracks: ReadonlyArray<Sample.TrackInfo> = [
  { kind: "video", name: videoName, codec: "avc3.42c01e", codedWidth: 640, codedHeight: 360, framerate: 25 },
  { kind: "audio", name: audioName, codec: "opus", sampleRate: 48_000, numberOfChannels: 2 }
]

/** 25 pictures a second with a key frame each second, 50 packets of sound; every payload says what it is. */
export const samplesFor = (seconds: number): ReadonlyArray<Sample.Sample> => {
  const samples: Array<Sample.Sample> = []
  for (let index = 0; index < seconds * 50; index++) {
    const ptsUs = index * 20_000
    if (index % 2 === 0) {
      const picture = index / 2
      const data = Uint8Array.of(1, picture >> 8, picture)
      samples.push({ track: videoName, ptsUs, key: picture % 25 === 0, data, durationUs: 40_000 })
    }
    samples.push({ track: audioName, ptsUs, key: true, data: Uint8Array.of(2, index >> 8, index), durationUs: 20_000 })
  }
  return samples
}

export const memory = (seconds: number): Import.Import => Import.fromSamples("memory", tracks, samplesFor(seconds))
