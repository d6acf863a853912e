import * as Actor from "@effect-live/actor/Actor"
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Limits from "../src/Limits.ts"
import { core, type Event } from "../src/SessionCore.ts"

/** One output in a word. */
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
        ? `reply ${rest["to"]} ${JSON.stringify(exit.value)}`
        : `refuse ${rest["to"]} ${exit.cause?.reasons[0]?.error._tag}`
    }
    case "Actor.SetTimer":
      return `timer ${rest["key"]} ${rest["at"]}`
    case "Actor.ClearTimer":
      return `clear ${rest["key"]}`
    case "Actor.Stop":
      return "stop"
    default:
      return [_tag, ...Object.values(rest).filter((value) => value !== undefined)].join(" ")
  }
}

/** What the core answers to each event, at times 0, 1, 2, ... */
const table = (events: ReadonlyArray<Event>): ReadonlyArray<string> =>
  Actor.replay(
    core,
    0,
    events.map((event, now) => ({ now, event }))
  ).outputs.map((outputs) => outputs.map(word).join("; "))

const subscribe = (replyTo: number, holder: number, track = "v"): Event => ({
  _tag: "Subscribe",
  replyTo,
  holder,
  broadcast: "b",
  track,
  priority: 3,
  start: undefined
})
const release = (holder: number): Event => ({ _tag: "Release", holder })
const on = (_tag: "Accepted" | "Finished" | "AnswerDue" | "LateGroupsDue" | "GroupClosed", id: number): Event => ({
  _tag,
  id
})
const failed = (id: number, code: number): Event => ({ _tag: "Failed", id, code })
const group = (replyTo: number, id: number): Event => ({ _tag: "GroupOpened", replyTo, id })
const announced = (path: string, active = true): Event => ({ _tag: "Announced", path, active })

/** The answer to the last of so many events. */
const many = (count: number, event: (n: number) => Event): string =>
  table(Array.from({ length: count }, (_, n) => event(n))).at(-1) ?? ""

const steps = (name: string, rows: ReadonlyArray<readonly [Event, string]>): void =>
  it(`${name}`, () =>
    assert.deepStrictEqual(
      table(rows.map(([event]) => event)),
      rows.map(([, expected]) => expected)
    ))

describe("the core of a session", () => {
  steps("opens one subscription for all who want a track, and cancels it after the last one", [
    [subscribe(1, 10), `OpenSubscription 0 b v 3; timer answer/0 ${Limits.answerTimeoutMs}`],
    [subscribe(2, 11), ""],
    [on("Accepted", 0), 'clear answer/0; reply 1 {"id":0,"fresh":true}; reply 2 {"id":0,"fresh":true}'],
    [subscribe(3, 12), 'reply 3 {"id":0,"fresh":false}'],
    [release(10), ""],
    [release(10), ""],
    [release(12), ""],
    [release(11), "clear answer/0; clear late/0; CancelSubscription 0; ForgetSubscription 0"],
    [subscribe(4, 13), `OpenSubscription 1 b v 3; timer answer/1 ${Limits.answerTimeoutMs + 8}`],
    [subscribe(5, 14, "w"), `OpenSubscription 2 b w 3; timer answer/2 ${Limits.answerTimeoutMs + 9}`]
  ])

  steps("tells everybody who waits that the publisher refused, and asks anew for those who come later", [
    [subscribe(1, 10), `OpenSubscription 0 b v 3; timer answer/0 ${Limits.answerTimeoutMs}`],
    [subscribe(2, 11), ""],
    [failed(0, ErrorCode.notFound), "clear answer/0; clear late/0; refuse 1 NotFound; refuse 2 NotFound"],
    [subscribe(3, 12), `OpenSubscription 1 b v 3; timer answer/1 ${Limits.answerTimeoutMs + 3}`],
    [failed(1, ErrorCode.unauthorized), "clear answer/1; clear late/1; refuse 3 Refused"],
    [release(10), ""],
    [release(11), "clear answer/0; clear late/0; ForgetSubscription 0"]
  ])

  steps("gives a silent publisher up", [
    [subscribe(1, 10), `OpenSubscription 0 b v 3; timer answer/0 ${Limits.answerTimeoutMs}`],
    [on("AnswerDue", 0), "clear answer/0; clear late/0; refuse 1 NoAnswer; CancelSubscription 0"],
    [on("Accepted", 0), ""],
    [on("AnswerDue", 0), ""]
  ])

  steps("ends a track only after its late groups", [
    [subscribe(1, 10), `OpenSubscription 0 b v 3; timer answer/0 ${Limits.answerTimeoutMs}`],
    [group(2, 0), 'reply 2 "accept"'],
    [on("Accepted", 0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [on("Finished", 0), ""],
    [on("GroupClosed", 0), `timer late/0 ${4 + Limits.lateGroupsMs}`],
    [group(3, 0), 'reply 3 "accept"'],
    [on("LateGroupsDue", 0), ""],
    [on("GroupClosed", 0), `timer late/0 ${7 + Limits.lateGroupsMs}`],
    [on("LateGroupsDue", 0), "FinishTrack 0"],
    [group(4, 0), `reply 4 {"code":${ErrorCode.cancel}}`],
    [release(10), "clear answer/0; clear late/0; ForgetSubscription 0"]
  ])

  const closed: Event = { _tag: "Closed", close: { _tag: "Remote", code: 0, reason: "bye" } }

  steps("ends a track with the session when its publisher had finished it and no group is under way", [
    [subscribe(1, 10), `OpenSubscription 0 b v 3; timer answer/0 ${Limits.answerTimeoutMs}`],
    [group(2, 0), 'reply 2 "accept"'],
    [on("Accepted", 0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [on("Finished", 0), ""],
    [on("GroupClosed", 0), `timer late/0 ${4 + Limits.lateGroupsMs}`],
    [closed, "FinishTrack 0; End [object Object]; stop"]
  ])

  steps("does not end a track with the session while one of its groups is under way", [
    [subscribe(1, 10), `OpenSubscription 0 b v 3; timer answer/0 ${Limits.answerTimeoutMs}`],
    [on("Accepted", 0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [on("Finished", 0), `timer late/0 ${2 + Limits.lateGroupsMs}`],
    [group(2, 0), 'reply 2 "accept"'],
    [closed, "End [object Object]; stop"]
  ])

  steps("does not end a track with the session when its publisher had not, nor one that has ended", [
    [subscribe(1, 10), `OpenSubscription 0 b v 3; timer answer/0 ${Limits.answerTimeoutMs}`],
    [on("Accepted", 0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [subscribe(2, 11, "w"), `OpenSubscription 1 b w 3; timer answer/1 ${Limits.answerTimeoutMs + 2}`],
    [on("Accepted", 1), 'clear answer/1; reply 2 {"id":1,"fresh":true}'],
    [on("Finished", 1), `timer late/1 ${4 + Limits.lateGroupsMs}`],
    [on("LateGroupsDue", 1), "FinishTrack 1"],
    [closed, "End [object Object]; stop"]
  ])

  steps("passes the failure of a track on", [
    [subscribe(1, 10), `OpenSubscription 0 b v 3; timer answer/0 ${Limits.answerTimeoutMs}`],
    [on("Accepted", 0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [failed(0, 70), "clear answer/0; clear late/0; AbortTrack 0 70"],
    [failed(0, 71), ""],
    [subscribe(2, 11), `OpenSubscription 1 b v 3; timer answer/1 ${Limits.answerTimeoutMs + 4}`]
  ])

  steps("follows the peer's announcements, and forgives ends that mean nothing", [
    [announced("a", false), ""],
    [announced("a"), "Announce a"],
    [announced("a"), "Unannounce a; Announce a"],
    [announced("b"), "Announce b"],
    [announced("a", false), "Unannounce a"],
    [announced("a", false), ""],
    [{ _tag: "AnnouncementsEnded" }, "Unannounce b"]
  ])

  steps("serves each id of the peer once at a time", [
    [{ _tag: "SubscribeRequested", replyTo: 1, id: 5 }, 'reply 1 "accept"'],
    [{ _tag: "SubscribeRequested", replyTo: 2, id: 5 }, `reply 2 {"code":${ErrorCode.duplicate}}`],
    [{ _tag: "SubscribeClosed", id: 5 }, ""],
    [{ _tag: "SubscribeRequested", replyTo: 3, id: 5 }, 'reply 3 "accept"']
  ])

  steps("ends with the connection: nobody waits for ever", [
    [subscribe(1, 10), `OpenSubscription 0 b v 3; timer answer/0 ${Limits.answerTimeoutMs}`],
    [announced("a"), "Announce a"],
    [{ _tag: "Closed", close: { _tag: "IdleTimeout" } }, "refuse 1 SessionEnded; End [object Object]; stop"]
  ])

  it("holds its limits", () => {
    assert.strictEqual(
      many(Limits.announceStreamsPerSession + 1, (n) => ({ _tag: "AnnounceRequested", replyTo: n })),
      `reply ${Limits.announceStreamsPerSession} {"code":${ErrorCode.boundsExceeded}}`
    )
    assert.strictEqual(
      many(Limits.subscriptionsPerSession + 1, (n) => ({ _tag: "SubscribeRequested", replyTo: n, id: n })),
      `reply ${Limits.subscriptionsPerSession} {"code":${ErrorCode.boundsExceeded}}`
    )
    assert.strictEqual(
      many(Limits.subscriptionsPerSession + 1, (n) => subscribe(n, n, `t${n}`)),
      `refuse ${Limits.subscriptionsPerSession} LimitReached`
    )
    assert.match(
      many(Limits.broadcastsPerOrigin + 1, (n) => announced(`p${n}`)),
      /^CloseSession 11/
    )
    const groups = many(Limits.openGroupsPerSubscription + 2, (n) => (n === 0 ? subscribe(0, 0) : group(n, 0)))
    assert.match(groups, /"code":11/)
  })

  it("answers every request exactly once and keeps nothing behind, in whatever order things happen", () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.record({ what: fc.constant("subscribe"), n: fc.nat(3) }),
            fc.record({
              what: fc.constantFrom("release", "Accepted", "Finished", "AnswerDue", "LateGroupsDue", "failed"),
              n: fc.nat(5)
            }),
            fc.record({ what: fc.constant("group"), n: fc.nat(5) })
          ),
          { maxLength: 60 }
        ),
        (script) => {
          const state = core.initial(0)
          const replies = new Map<number, number>()
          let groups = 0
          let asked = 0
          const tell = (event: Event): void => {
            for (const output of core.step(state, event, 0)) {
              if (output._tag === "Actor.Reply") replies.set(output.to, (replies.get(output.to) ?? 0) + 1)
            }
          }
          for (const { what, n } of script) {
            if (what === "subscribe") tell(subscribe(asked, asked++, `t${n}`))
            else if (what === "release") tell(release(n))
            else if (what === "failed") tell(failed(n, 70))
            else if (what === "group") {
              tell(group(-1 - groups++, n))
            } else tell(on(what as "Accepted", n))
          }
          tell({ _tag: "Closed", close: { _tag: "IdleTimeout" } })
          for (let n = 0; n < asked; n++) tell(release(n))
          for (const count of replies.values()) assert.strictEqual(count, 1)
          for (let n = 0; n < asked; n++) {
            // who released before the answer no longer waits for one
            if (!replies.has(n)) assert.isTrue(script.some(({ what, n: holder }) => what === "release" && holder === n))
          }
          assert.strictEqual(state.subscriptions.size + state.byTrack.size + state.byHolder.size, 0)
        }
      )
    ))
})
