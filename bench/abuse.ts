/**
 * What a publisher and its honest subscribers notice of somebody who abuses it, over real iroh: a publisher and an abuser in
 * processes of their own, three subscribers here, the loopback interface. The abuser is stopped and continued every second, so that
 * the seconds without and with it take turns. What is compared is the work of the publisher and the 95th percentile of the time from a
 * frame's making to its arrival. The abuser yields to all others: it would have a machine of its own. `abuse-cost` has what the
 * publisher's loop has to do, without a network.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { constants, setPriority } from "node:os"
import { fileURLToPath } from "node:url"
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import * as Router from "@effect-live/endpoint/Router"
import { End } from "@effect-live/endpoint/Stream"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import * as Moq from "@effect-live/moq/Moq"
import { Effect, Layer, Result } from "effect"
import type { Row } from "./Row.ts"

const rounds = 15
const windowMs = 1_000
/** What is under way when the abuser is stopped or continued belongs to neither. */
const betweenMs = 200
const abuses = ["rapid reset", "greedy", "announcements", "half-open"]

const start = (program: string, args: ReadonlyArray<string>): ChildProcess =>
  spawn(
    process.execPath,
    ["--conditions=@effect-live/source", fileURLToPath(new URL(program, import.meta.url)), ...args],
    { stdio: ["ignore", "pipe", "pipe", "ipc"] }
  )

const bindAddrs = [Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))]
const layer = Moq.layer().pipe(
  Layer.provideMerge(Router.layer),
  Layer.provide(Iroh.layer({ bindAddrs, relayMode: "disabled" })),
  Layer.provide(AddressBook.layer)
)

/** Watches on an endpoint of its own, and notes when frames come and how long they took, in milliseconds. */
const watch = (ticket: LiveTicket.LiveTicket, got: (latencyMs: number) => void) =>
  Effect.gen(function* () {
    const moq = yield* Moq.Moq
    const peer = yield* moq.connect(LiveTicket.dialAddr(ticket))
    const track = yield* peer.consume(ticket.name).subscribe("video")
    for (;;) {
      const group = yield* track.next
      if (group === End) return
      if ("_tag" in group) return yield* Effect.die(new Error(`${group.groups} groups were lost`))
      for (let frame = yield* group.read; frame !== End; frame = yield* group.read) {
        const madeNs = new DataView(frame.buffer, frame.byteOffset).getBigInt64(0)
        got(Number(process.hrtime.bigint() - madeNs) / 1e6)
      }
    }
  }).pipe(Effect.scoped, Effect.provide(layer))

const percentile = (values: ReadonlyArray<number>, part: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] ?? Number.NaN

/** What was seen in all windows of one kind. */
interface Windows {
  readonly latencies: Array<number>
  /** Milliseconds of a core that the publisher worked. */
  cpuMs: number
}

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const publisher = start("abuse-child.ts", [])
  if (publisher.stdout === null) throw new Error("no pipe to the publisher")
  const first = await createInterface({ input: publisher.stdout })[Symbol.asyncIterator]().next()
  if (first.done === true) throw new Error("the publisher did not start")
  const text: string = first.value
  const ticket = Result.getOrThrow(LiveTicket.parse(text))
  let latencies: Array<number> = []
  const watching = new AbortController()
  const viewers = Array.from({ length: 3 }, () =>
    Effect.runPromise(
      watch(ticket, (latencyMs) => latencies.push(latencyMs)),
      { signal: watching.signal }
    )
  )
  const lost = Promise.race(viewers)
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
  const taken = (): ReadonlyArray<number> => {
    const all = latencies
    latencies = []
    return all
  }
  const cpuMs = (): Promise<number> =>
    new Promise((resolve) => {
      publisher.once("message", (ms: number) => resolve(ms))
      publisher.send("how much have you worked?")
    })
  const window = async (into: Windows): Promise<void> => {
    await pause(betweenMs)
    const fromMs = await cpuMs()
    taken()
    await pause(windowMs)
    into.latencies.push(...taken())
    into.cpuMs += (await cpuMs()) - fromMs
  }
  const during = async (abuse: string): Promise<ReadonlyArray<Row>> => {
    const abuser = start("../apps/cli/test/abuser.ts", [text, "video", abuse, "forever"])
    try {
      await new Promise((resolve, reject) => {
        abuser.stderr?.once("data", resolve)
        abuser.once("close", (code) => reject(new Error(`the abuser ended with ${code}`)))
      })
      if (abuser.pid !== undefined) setPriority(abuser.pid, constants.priority.PRIORITY_LOW)
      const without: Windows = { latencies: [], cpuMs: 0 }
      const with_: Windows = { latencies: [], cpuMs: 0 }
      for (let round = 0; round < rounds; round++) {
        await window(with_)
        abuser.kill("SIGSTOP")
        await window(without)
        abuser.kill("SIGCONT")
      }
      const [calm, abused] = [percentile(without.latencies, 0.95), percentile(with_.latencies, 0.95)]
      const share = (with_.cpuMs - without.cpuMs) / (rounds * windowMs)
      return [
        {
          what: `abuse: ${abuse}, work that it makes for the publisher`,
          value: 100 * share,
          unit: "% of a core",
          reach: ""
        },
        { what: `abuse: ${abuse}, p95 of a frame's latency without it`, value: calm, unit: "ms", reach: "" },
        { what: `abuse: ${abuse}, with it`, value: abused, unit: "ms", reach: "" },
        { what: `abuse: ${abuse}, with / without`, value: abused / calm, unit: "", reach: "below 1.5" }
      ]
    } finally {
      abuser.kill("SIGKILL")
    }
  }
  const measure = async (): Promise<ReadonlyArray<Row>> => {
    await pause(3_000)
    const rows: Array<Row> = []
    for (const abuse of abuses) rows.push(...(await during(abuse)))
    return rows
  }
  try {
    return await Promise.race([
      measure(),
      lost.then(() => {
        throw new Error("the publisher is gone")
      })
    ])
  } finally {
    watching.abort()
    await Promise.allSettled(viewers)
    publisher.kill()
  }
}

if (import.meta.main) console.table(await run())
