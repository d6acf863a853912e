/** How a recording goes: what the `progress` event carries, and the line that people see. */
import { Schema } from "effect"

export const Progress = Schema.Struct({
  frames: Schema.Int,
  bytes: Schema.Int,
  /** Length of the recording. */
  mediaMs: Schema.Finite,
  /** Groups that the publisher's past or this side no longer had. */
  missing: Schema.Int,
  /** Media received during the last interval. */
  bitsPerSecond: Schema.Finite,
  rttMs: Schema.optional(Schema.Finite),
  /** The selected path: its kind and where it leads. */
  path: Schema.optional(Schema.String)
})
export type Progress = typeof Progress.Type

export const format = (progress: Progress): string =>
  [
    `${(progress.mediaMs / 1000).toFixed(1)} s`,
    `${progress.frames} frames`,
    formatBytes(progress.bytes),
    `${(progress.bitsPerSecond / 1e6).toFixed(2)} Mbit/s`,
    ...(progress.rttMs === undefined ? [] : [`RTT ${progress.rttMs} ms`]),
    ...(progress.path === undefined ? [] : [progress.path]),
    ...(progress.missing === 0 ? [] : [`${progress.missing} groups missing`])
  ].join("  ")

const formatBytes = (bytes: number): string =>
  bytes < 1024
    ? `${bytes} B`
    : bytes < 1024 ** 2
      ? `${(bytes / 1024).toFixed(1)} KiB`
      : `${(bytes / 1024 ** 2).toFixed(1)} MiB`
