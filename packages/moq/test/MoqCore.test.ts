import * as Actor from "@effect-live/actor/Actor"
import { ConnectError, Refused } from "@effect-live/endpoint/Endpoint"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import * as SecretKey from "@effect-live/endpoint/SecretKey"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Limits from "../src/Limits.ts"
import { core, type Event } from "../src/MoqCore.ts"

/** The core only compares ids: these need not be keys. */
const idOf = (n: number): EndpointId => n.toString(16).padStart(64, "0") as EndpointId
const peer = SecretKey.endpointId(Result.getOrThrow(SecretKey.fromBytes(new Uint8Array(32).fill(1))))
const refused = new ConnectError({ peer, reason: new Refused() })

const word = (output: object & { readonly _tag: string }): string => {
  const { _tag, ...rest } = output as { readonly _tag: string } & Record<string, unknown>
  switch (_tag) {
    case "Actor.Reply": {
      const exit = rest["exit"] as {
        readonly _tag: string
        readonly value?: unknown
        readonly cause?: { readonly reasons: ReadonlyArray<{ readonly error: { readonly _tag: string } }> }
      }
      return exit._tag === "Success"
        ? `reply ${rest["to"]} ${JSON.stringify(exit.value) ?? ""}`.trim()
        : `refuse ${rest["to"]} ${exit.cause?.reasons[0]?.error._tag}`
    }
    case "Actor.SetTimer":
      return `timer ${rest["key"]} ${rest["at"]}`
    case "Actor.ClearTimer":
      return `clear ${rest["key"]}`
    case "Dial":
      return `Dial ${rest["dial"]}`
    default:
      return [_tag, ...Object.values(rest).filter((value) => value !== "")].join(" ")
  }
}

const table = (events: ReadonlyArray<Event>): ReadonlyArray<string> =>
  Actor.replay(
    core,
    0,
    events.map((event, now) => ({ now, event }))
  ).outputs.map((outputs) => outputs.map(word).join("; "))
/** The answer to the last of so many events. */
const many = (count: number, event: (n: number) => Event): string =>
  table(Array.from({ length: count }, (_, n) => event(n))).at(-1) ?? ""

const steps = (name: string, rows: ReadonlyArray<readonly [Event, string]>): void =>
  it(`${name}`, () =>
    assert.deepStrictEqual(
      table(rows.map(([event]) => event)),
      rows.map(([, expected]) => expected)
    ))

const publish = (replyTo: number, path: string, broadcast: number): Event => ({
  _tag: "Publish",
  replyTo,
  path,
  broadcast
})
const connect = (replyTo: number, holder: number): Event => ({ _tag: "Connect", replyTo, holder, id: peer, peer })
const disconnect = (holder: number): Event => ({ _tag: "Disconnect", holder })
const dial = (_tag: "Dialed" | "SessionEnded" | "LingerDue", number: number): Event => ({ _tag, dial: number })
const shutDown = (replyTo: number): Event => ({ _tag: "ShutDown", replyTo })

describe("the core of the Moq service", () => {
  steps("gives a path to the last who published it, and takes it only from that one", [
    [publish(1, "a", 10), "Announce a 10; reply 1"],
    [publish(2, "a", 11), "Withdraw a 10; Announce a 11; reply 2"],
    [{ _tag: "BroadcastDone", path: "a", broadcast: 10 }, ""],
    [{ _tag: "BroadcastDone", path: "a", broadcast: 11 }, "Withdraw a 11"],
    [{ _tag: "Unpublish", replyTo: 3, path: "a" }, "reply 3"],
    [publish(4, "x".repeat(Limits.nameBytes + 1), 12), "refuse 4 InvalidPath"]
  ])

  steps("dials once for all who ask, and shares the session until it lingered", [
    [connect(1, 10), "Dial 0"],
    [connect(2, 11), ""],
    [dial("Dialed", 0), "reply 1 0; reply 2 0"],
    [connect(3, 12), "clear linger/0; reply 3 0"],
    [disconnect(10), ""],
    [disconnect(11), ""],
    [disconnect(12), `timer linger/0 ${6 + Limits.sessionLingerMs}`],
    [connect(4, 13), "clear linger/0; reply 4 0"],
    [dial("LingerDue", 0), ""],
    [disconnect(13), `timer linger/0 ${9 + Limits.sessionLingerMs}`],
    [dial("LingerDue", 0), "HangUp 0 0"],
    [connect(5, 14), "Dial 1"],
    [dial("SessionEnded", 0), "clear linger/0; Forget 0"]
  ])

  steps("tells all who waited why a dial failed; the next one dials anew", [
    [connect(1, 10), "Dial 0"],
    [connect(2, 11), ""],
    [{ _tag: "DialFailed", dial: 0, error: refused }, "refuse 1 ConnectError; refuse 2 ConnectError; clear linger/0"],
    [connect(3, 12), "Dial 1"],
    [disconnect(10), ""],
    [disconnect(11), "Forget 0"]
  ])

  steps("gives a dial up that nobody waits for", [
    [connect(1, 10), "Dial 0"],
    [disconnect(10), "HangUp 0 0"],
    [dial("Dialed", 0), ""],
    [connect(2, 11), "Dial 1"],
    [dial("SessionEnded", 0), "clear linger/0; Forget 0"]
  ])

  steps("keeps an ended session for its holders, and dials anew for others", [
    [connect(1, 10), "Dial 0"],
    [dial("Dialed", 0), "reply 1 0"],
    [dial("SessionEnded", 0), "clear linger/0"],
    [connect(2, 11), "Dial 1"],
    [disconnect(10), "Forget 0"]
  ])

  steps("shuts down: announcements end, sessions get a moment, then all is closed and answered", [
    [publish(1, "a", 10), "Announce a 10; reply 1"],
    [connect(2, 10), "Dial 0"],
    [dial("Dialed", 0), "reply 2 0"],
    [{ _tag: "IncomingOpened", replyTo: 3 }, 'reply 3 "accept"'],
    [shutDown(4), `WithdrawAll; timer drain ${4 + Limits.shutdownDrainMs}`],
    [shutDown(5), ""],
    [publish(6, "b", 11), "refuse 6 ShutDown"],
    [connect(7, 12), "refuse 7 ShutDown"],
    [{ _tag: "IncomingOpened", replyTo: 8 }, 'reply 8 {"code":0,"reason":"cancelled"}'],
    [{ _tag: "DrainDue" }, "CloseAll 0 cancelled"],
    [{ _tag: "IncomingClosed" }, ""],
    [dial("SessionEnded", 0), "clear linger/0; reply 4; reply 5"],
    [shutDown(9), "reply 9"]
  ])

  steps("shuts down at once where there is no session, and gives up a dial that is under way", [
    [connect(1, 10), "Dial 0"],
    [shutDown(2), `WithdrawAll; refuse 1 ShutDown; HangUp 0 0; timer drain ${1 + Limits.shutdownDrainMs}`],
    [dial("SessionEnded", 0), "clear linger/0; reply 2"]
  ])

  it("holds its limits", () => {
    assert.match(
      many(Limits.broadcastsPerOrigin + 1, (n) => publish(n, `p${n}`, n)),
      /TooManyBroadcasts$/
    )
    assert.match(
      many(Limits.sessions + 1, (n) => ({ _tag: "IncomingOpened", replyTo: n })),
      /too many sessions/
    )
    assert.match(
      many(Limits.sessions + 1, (n) => ({ _tag: "Connect", replyTo: n, holder: n, id: idOf(n), peer: idOf(n) })),
      /TooManySessions$/
    )
  })
})
