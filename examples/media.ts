/** Publishes five seconds of the sample in real time and records them again: what comes out is what went in. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Export, Import, LocalBroadcast, Recorder, RemoteBroadcast } from "@effect-live/media"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Stream } from "effect"

const seconds = 5
const sample = fileURLToPath(new URL("../apps/cli/assets/sample.mp4", import.meta.url))

const program = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "effect-live-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true }))
  )
  const source = yield* Import.fromFile(sample)
  for (const { codec, name } of source.tracks) yield* Console.log(`track ${name} (${codec})`)

  const local = yield* LocalBroadcast.fromImport(source, { wait: true })
  const remote = yield* RemoteBroadcast.make(local.producer.consume())
  const copy = join(folder, "copy.mkv")
  const recorder = yield* Recorder.make({
    format: "mkv",
    open: (tracks) => Export.toFile(copy, tracks),
    durationUs: seconds * 1_000_000
  })
  const ended = yield* recorder.run(remote)
  yield* recorder.finish
  const { bytesWritten, lostGroups, tracks } = recorder.progress()
  for (const { bytes, info, samples } of tracks)
    yield* Console.log(`recorded ${samples} samples, ${bytes} bytes of ${info.name}`)
  yield* Console.log(`${bytesWritten} bytes in the file, ${lostGroups} groups lost, ended: ${ended._tag}`)

  const recorded = yield* Stream.runCollect((yield* Import.fromFile(copy)).samples)
  const original = yield* Stream.runCollect(source.samples)
  for (const { name } of source.tracks) {
    const before = original.filter(({ track }) => track === name)
    const after = recorded.filter(({ track }) => track === name)
    const same = after.every(({ data }, index) => Buffer.compare(data, before[index]?.data ?? Buffer.alloc(0)) === 0)
    if (after.length === 0 || !same) return yield* Effect.die(new Error(`${name} did not come back as it was`))
  }
  yield* Console.log("every access unit came back as it was")
})

program.pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer), NodeRuntime.runMain)
