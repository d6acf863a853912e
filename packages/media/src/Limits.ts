/** What can grow in this package, and how far. */

/** Text of one catalog frame, and of the document that its merge patches add up to, in bytes of UTF-8. */
export const catalogBytes = 1024 * 1024

/** Nesting of a catalog. */
export const catalogDepth = 64

/** Renditions of one kind in a catalog; further ones are left out with a warning. */
export const renditionsPerKind = 256

/** Warnings kept for one catalog document; the last one says how many more there were. */
export const catalogWarnings = 64

/** Tracks read from one file or pipe; further ones are listed as skipped. */
export const importTracks = 32

/** Bytes of a pipe that are held while the samples of its tracks are sorted by time. */
export const pipeCacheBytes = 32 * 1024 * 1024

/** Bytes of a file that are held while reading. */
export const fileCacheBytes = 8 * 1024 * 1024

/** Bytes of samples that an export holds back because another of its tracks has no sample for that time yet. */
export const exportPendingBytes = 128 * 1024 * 1024

/** Media time of one audio group in a local broadcast, in microseconds. */
export const audioGroupUs = 100_000

/** With `wait`: how long after the first subscriber of a media track the clock starts all the same, in milliseconds. */
export const waitMs = 3_000

/** How long a broadcast whose file has ended stays for subscribers that have not read all of it, in milliseconds. */
export const flushMs = 10_000

/** How long newer groups of a rendition wait for one that is missing or unfinished before it is given up, in milliseconds. */
export const reorderMs = 3_000

/** How long a recording waits for the first sample of a rendition before it goes on without it, in milliseconds. */
export const firstSampleMs = 5_000

/** Samples that the tables of one track of an MP4 file, or of one of its fragments, may claim to have. */
export const importSamples = 4 * 1024 * 1024

/** The header of an MP4 file, or of one of its fragments, in bytes. */
export const importHeaderBytes = 128 * 1024 * 1024

/** How long an answer about a pipe that has ended may take, in milliseconds; then it counts as damaged. */
export const pipeAnswerMs = 2_000
