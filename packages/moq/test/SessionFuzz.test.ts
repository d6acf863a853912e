/**
 * Hostile bytes on every kind of stream of a running session, beside honest subscribers: no defect, no hang, and a session ends only
 * with a code of moq-lite. What a decoder makes of single inputs is in `fuzz.ts`.
 */
import * as Rng from "@effect-live/actor/Rng"
import type { BiStream, RecvStream, SendStream } from "@effect-live/endpoint/Stream"
import { encode } from "@effect-live/wire/Writer"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Message from "../src/Message.ts"
import { all, type Version } from "../src/Version.ts"
import { type Abuser, type Attack, observe } from "./support/abuse.ts"
import { fromHex } from "./support/raw.ts"

const seeds = 30
const actions = 120

/** How the victim may end a session that gets nothing but rubbish. */
const typed: ReadonlyArray<number> = [
  ErrorCode.timeout,
  ErrorCode.decode,
  ErrorCode.boundsExceeded,
  ErrorCode.protocolViolation
]

/** What a peer of this version may say, by where it may say it. */
const sayings = (abuser: Abuser, header: ((sequence: number) => Uint8Array) | undefined) => {
  const { version } = abuser
  const wishes = { priority: 3, ordered: false, maxLatencyMs: 500, start: undefined, end: 9 }
  const track = { broadcast: "film", track: "video" }
  const frames = fromHex(version.timestamps ? "04 03 616263 02 01 64 00 00" : "03 616263 01 64 00")
  const group = header ?? ((sequence: number) => Message.encodeGroupHeader({ subscribe: 0, sequence }))
  return {
    bi: [
      abuser.subscribe(1),
      abuser.subscribe(2, "nothing"),
      Message.encodeTyped(Message.StreamType.announce, version.announceRequest, { prefix: "", excludeHop: 0 }),
      Message.encodeTyped(Message.StreamType.fetch, version.fetch, { ...track, priority: 0, group: 0 }),
      Message.encodeTyped(Message.StreamType.track, Message.trackRequest, track),
      Message.encodeTyped(Message.StreamType.goaway, Message.goaway, { uri: "https://else.where" }),
      fromHex("04")
    ],
    uni: [
      ...[0, 1, 1, 2, 5_000_000_000].map((sequence) =>
        encode((writer) => {
          writer.raw(group(sequence))
          writer.raw(frames)
        })
      ),
      Message.encodeTyped(Message.StreamType.setup, Message.setup, { probe: 1, origin: 77 })
    ],
    announcements: [
      abuser.announcement("evil", true),
      abuser.announcement("evil", false),
      abuser.announcement("evil/two", true),
      abuser.announcement("", true)
    ],
    behind: [
      Message.encode(version.subscribeUpdate, wishes),
      version.encodeResponse({ _tag: "SubscribeDrop", start: 1, end: 2, code: 3 }),
      version.subscribeOk
        ? version.encodeResponse({ _tag: "SubscribeOk", ...wishes })
        : version.encodeResponse({ _tag: "SubscribeEnd", group: 4 }),
      frames
    ],
    datagrams: [
      Message.encodeDatagram({ subscribe: 0, sequence: 1, timestamp: 5, payload: fromHex("61") }),
      Message.encodeDatagram({ subscribe: 9, sequence: 2 ** 50, timestamp: 2 ** 52, payload: fromHex("") })
    ]
  }
}

const rubbish =
  (seed: number): Attack =>
  (abuser) =>
    Effect.gen(function* () {
      const rng = Rng.make(seed, "rubbish")
      const one = <A>(from: ReadonlyArray<A>): A | undefined => from[rng.below(Math.max(1, from.length))]
      const mutated = (from: ReadonlyArray<Uint8Array>): Uint8Array => mutate(rng, one(from) ?? fromHex("00"))
      const watched = yield* Effect.timeoutOption(abuser.watched, 1_000)
      const said = sayings(abuser, watched._tag === "Some" ? watched.value.header : undefined)
      const sends: Array<SendStream> = []
      const recvs: Array<RecvStream> = []
      const keep = ({ recv, send }: BiStream): void => {
        sends.push(send)
        recvs.push(recv)
      }
      if (watched._tag === "Some") keep(watched.value.stream)
      for (let n = 0; n < actions; n++) {
        const stream = one(sends)
        switch (rng.below(12)) {
          case 0:
          case 1:
          case 2:
            keep(yield* abuser.bi(mutated(said.bi)))
            break
          case 3:
          case 4:
            sends.push(yield* abuser.uni(mutated(said.uni)))
            break
          case 5:
            yield* Effect.ignore((yield* abuser.announcing).send.write(mutated(said.announcements)))
            break
          case 6:
          case 7:
            if (stream !== undefined) yield* Effect.ignore(stream.write(mutated(said.behind)))
            break
          case 8:
            yield* Effect.ignore(abuser.connection.sendDatagram(mutated(said.datagrams)))
            break
          case 9:
            stream?.finish()
            break
          case 10:
            stream?.reset(rng.below(2) === 0 ? ErrorCode.toStream(rng.below(40)) : rng.below(2 ** 31))
            break
          case 11:
            one(recvs)?.stop(ErrorCode.toStream(rng.below(40)))
        }
        if (rng.below(3) === 0) yield* Effect.sleep(rng.below(50))
      }
      yield* Effect.sleep(1_000)
    })

/** Half of what is said is as it should be: rubbish alone gets nowhere. */
const mutate = (rng: Rng.Rng, bytes: Uint8Array): Uint8Array => {
  let mutant = [...bytes]
  for (let times = rng.below(2) * (1 + rng.below(3)); times > 0; times--) {
    const at = rng.below(mutant.length + 1)
    switch (rng.below(6)) {
      case 0:
        mutant[at] = rng.below(256)
        break
      case 1:
        mutant = mutant.slice(0, at)
        break
      case 2:
        mutant.splice(at, 0, ...Array.from({ length: 1 + rng.below(8) }, () => rng.below(256)))
        break
      case 3:
        mutant.splice(at, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, rng.below(256))
        break
      case 4:
        mutant.splice(at, 1 + rng.below(4))
        break
      case 5:
        mutant.push(...mutant.slice(at))
    }
  }
  return Uint8Array.from(mutant)
}

const survives = (version: Version, seed: number): Effect.Effect<number | undefined, unknown> =>
  Effect.gen(function* () {
    const seen = yield* observe({ seed, version, attack: rubbish(seed) })
    const where = `seed ${seed} on ${version.alpn}`
    assert.deepStrictEqual(seen.defects, [], where)
    assert.strictEqual(seen.lost, 0, where)
    assert.deepStrictEqual(seen.after, seen.before, where)
    if (seen.close === undefined) return undefined
    if (seen.close._tag !== "Remote") return assert.fail(`${where}: ended by ${seen.close._tag}`)
    assert.include(typed, seen.close.code, `${where}: ${seen.close.reason}`)
    return seen.close.code
  })

describe("a session that is told rubbish", () => {
  for (const version of all) {
    it.effect(
      `${version.alpn}: ${seeds} seeds of ${actions} hostile actions do no harm`,
      () =>
        Effect.gen(function* () {
          const codes = new Set<number | undefined>()
          for (let seed = 0; seed < seeds; seed++) codes.add(yield* survives(version, seed))
          assert.include(codes, ErrorCode.decode, "some of it ends the session")
        }),
      120_000
    )
  }
})
