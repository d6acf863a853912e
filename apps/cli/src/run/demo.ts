/** `irl demo`: a publisher here, a subscriber in another process; they find each other by the ticket alone. */
import { createHash } from "node:crypto"
import { fileURLToPath } from "node:url"
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as Live from "@effect-live/live/Live"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import * as Import from "@effect-live/media/Import"
import * as LocalBroadcast from "@effect-live/media/LocalBroadcast"
import { Effect, FileSystem, Option, Schema, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Failure from "../Failure.ts"
import { onNode } from "../onNode.ts"
import { Output } from "../Output.ts"
import * as Progress from "../Progress.ts"
import { qr } from "../qr.ts"

const sample = fileURLToPath(new URL("../../assets/sample.mp4", import.meta.url))
const main = fileURLToPath(new URL("../main.ts", import.meta.url))
/** How much media `--once` watches. */
const onceSeconds = 5

export const demo = (input: { readonly once: boolean }) => onNode(run(input.once))

const run = Effect.fnUntraced(function* (once: boolean) {
  const output = yield* Output
  const live = yield* Live.Live
  const { backing } = yield* Endpoint
  const files = yield* FileSystem.FileSystem
  const source = yield* Import.fromFile(sample)
  const broadcast = yield* LocalBroadcast.fromImport(source, { loop: true, wait: true })
  const ticket = yield* live.publish("demo", broadcast)
  const text = LiveTicket.format(ticket)
  yield* output.event("publishing", { ticket: text, id: ticket.addr.id, name: ticket.name }, `publishing at ${text}`)
  yield* output.text(qr(text))
  const watching = `a second process watches it over ${backing.name} ${backing.version}, by this ticket alone:`
  yield* output.text(once ? watching : `${watching}\n${tryNext}`)

  const copy = `${yield* files.makeTempDirectoryScoped({ prefix: "irl-demo-" })}/copy.mkv`
  const target = once ? ["-o", copy, "--duration", `${onceSeconds}s`] : ["-o", "-"]
  const watched = yield* watch([text, ...target])
  if (!once) return yield* Failure.make("Demo", "the subscriber ended by itself; `irl doctor` may know why")
  yield* verify(watched, copy)
})

const tryNext = `  in another terminal   npm run irl -- record TICKET -o copy.mp4
  your own file         npm run irl -- publish film.mp4
  a player              npm run -s irl -- record TICKET -o - | mpv -
Ctrl-C ends it`

const SubscriberEvent = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({ event: Schema.Literal("progress"), ...Progress.Progress.fields }),
    Schema.Struct({ event: Schema.Literal("error"), message: Schema.String }),
    Schema.Struct({ event: Schema.String })
  ])
)
const decodeEvent = Schema.decodeUnknownEffect(SubscriberEvent)

/** Runs `irl record` as a process of its own and shows how it goes; gives the last progress when it ended with success. */
const watch = Effect.fnUntraced(function* (args: ReadonlyArray<string>) {
  const output = yield* Output
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const recording = args.includes("-")
  const child = yield* spawner.spawn(
    ChildProcess.make(process.execPath, [...process.execArgv, main, "record", ...args, "--json"], {
      stdin: "ignore",
      stdout: recording ? "ignore" : "pipe",
      stderr: recording ? "pipe" : "inherit"
    })
  )
  let last: Progress.Progress | undefined
  const show = Effect.fnUntraced(function* (line: string) {
    const event = yield* decodeEvent(line)
    if (event.event === "error" && "message" in event)
      return yield* Failure.make("Subscriber", `the subscriber failed: ${event.message}`)
    if (event.event !== "progress" || !("frames" in event)) return
    last = event
    yield* output.event("progress", event)
    yield* output.status(Progress.format(event))
  })
  yield* (recording ? child.stderr : child.stdout).pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.filter((line) => line.startsWith("{")),
    Stream.runForEach(show)
  )
  yield* output.statusDone
  const code = yield* child.exitCode
  if (code !== 0) return yield* Failure.make("Subscriber", `the subscriber ended with exit code ${code}`)
  return Option.fromUndefinedOr(last)
})

/** Complete and in order means: the copy is a gapless run of the sample's access units, which begin again at their end. */
const verify = Effect.fnUntraced(function* (watched: Option.Option<Progress.Progress>, copy: string) {
  const output = yield* Output
  const [sent, received] = yield* Effect.all([unitsOf(sample), unitsOf(copy)])
  let compared = 0
  for (const [kind, units] of received) {
    if (!isRun(units, sent.get(kind) ?? [])) {
      return yield* Failure.make("Incomplete", `the ${kind} that arrived is not the one that was sent`)
    }
    compared += units.length
  }
  const missing = Option.match(watched, { onNone: () => 0, onSome: (progress) => progress.missing })
  if (missing > 0 || received.size < sent.size)
    return yield* Failure.make(
      "Incomplete",
      `of ${sent.size} tracks ${received.size} arrived, ${missing} groups are missing`
    )
  const text = `ok: ${compared} frames of ${received.size} tracks arrived, complete and in order`
  yield* output.event("done", { frames: compared, tracks: received.size, missing }, text)
})

/** Whether one list is somewhere in the other, without a hole, when that is repeated for ever. */
const isRun = (part: ReadonlyArray<string>, whole: ReadonlyArray<string>): boolean =>
  whole.some((_, start) => part.every((unit, index) => unit === whole[(start + index) % whole.length]))

/** SHA-256 of every access unit of each kind of track, in order. */
const unitsOf = Effect.fnUntraced(function* (path: string) {
  const file = yield* Import.fromFile(path)
  const units = new Map<string, Array<string>>()
  const kinds = new Map(file.tracks.map(({ kind, name }) => [name, kind]))
  for (const kind of kinds.values()) units.set(kind, [])
  yield* Stream.runForEach(file.samples, ({ data, track }) =>
    Effect.sync(() => units.get(kinds.get(track) ?? "")?.push(createHash("sha256").update(data).digest("hex")))
  )
  return units
}, Effect.scoped)
