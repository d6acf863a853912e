/**
 * Where a run of samples goes on one timeline: that of a recorded file, or of a file that is published in a loop. Matroska counts whole milliseconds, and a player that maps
 * pictures to ticks of the frame rate counts them from the first sample of the file, often sound. When the first picture lies half
 * a frame behind that, rounding to milliseconds throws the pictures now onto the tick before them, now onto the one behind, so that
 * two share one.
 */
import type { TrackInfo } from "../Sample.ts"

/** What is about to be written. */
export interface Run {
  /** The earliest first sample of all tracks, in microseconds. */
  readonly startUs: number
  /** Of the first video track, if its frame rate is known: the time of one of its first pictures and the time from one to the next. */
  readonly picture: { readonly ptsUs: number; readonly frameUs: number } | undefined
}

/** What is there already, in microseconds: where it ends, and the time of any of its pictures. */
export interface Recorded {
  readonly endUs: number
  readonly pictureUs: number | undefined
}

const msUs = 1_000
const longestFrameUs = 100_000
/** Just rounded down, and just rounded up, to whole milliseconds. */
const roundedDownUs = 499
const roundedUpUs = 500

/**
 * What to add to the times of every track, an integer. A first run begins within the first half millisecond of the file: when its
 * first picture is less than a millisecond off half a frame, the rounding of the start keeps all pictures on one side. A later run
 * begins less than a frame behind the end, with its first picture a whole number of frames behind those that are there; right at the
 * end where pictures are so rare that one would notice the wait.
 */
export const shiftUs = ({ picture, startUs }: Run, recorded: Recorded | undefined): number => {
  if (recorded === undefined) return firstUs(startUs, picture) - startUs
  const earliestUs = recorded.endUs - startUs
  if (picture === undefined || recorded.pictureUs === undefined || picture.frameUs > longestFrameUs) return earliestUs
  const frames = Math.ceil((picture.ptsUs + earliestUs - recorded.pictureUs) / picture.frameUs)
  return Math.max(earliestUs, Math.round(recorded.pictureUs + frames * picture.frameUs - picture.ptsUs))
}

const firstUs = (startUs: number, picture: Run["picture"]): number => {
  if (picture === undefined) return 0
  const behindHalfUs = ((picture.ptsUs - startUs) % picture.frameUs) - picture.frameUs / 2
  if (Math.abs(behindHalfUs) >= msUs) return 0
  return behindHalfUs < 0 ? roundedUpUs : roundedDownUs
}

/** Microseconds from one picture to the next, for a video track that says so. */
export const frameUsOf = (info: TrackInfo): number | undefined =>
  info.kind === "video" && info.framerate !== undefined && info.framerate > 0 ? 1_000_000 / info.framerate : undefined
