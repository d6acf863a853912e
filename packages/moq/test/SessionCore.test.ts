import * as Actor from "@effect-live/actor/Actor"
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as Limits from "../src/Limits.ts"
import type { SubscribeUpdate } from "../src/Message.ts"
import { core, type Event, type Traits } from "../src/SessionCore.ts"
import { lite03, lite05 } from "../src/Version.ts"
import { commandWord, isCommand } from "./support/word.ts"

/** One output in a word. */
const word = (output: object & { readonly _tag: string }): string => {
  if (isCommand(output)) return commandWord(output)
  const { _tag, ...rest } = output as { readonly _tag: string } & Record<string, unknown>
  switch (_tag) {
    case "OpenSubscription":
    case "UpdateSubscription": {
      const { wishes, ...others } = rest
      return [_tag, ...Object.values(others), said(wishes as SubscribeUpdate)].join(" ")
    }
    default:
      return [_tag, ...Object.values(rest).filter((value) => value !== undefined)].join(" ")
  }
}

/** Priority, and what else is wished. */
const said = ({ end, maxLatencyMs, ordered, priority, start }: SubscribeUpdate): string =>
  [
    `p${priority}`,
    ...(start === undefined ? [] : [`from ${start}`]),
    ...(end === undefined ? [] : [`to ${end}`]),
    ...(maxLatencyMs === 0 ? [] : [`within ${maxLatencyMs}`]),
    ...(ordered ? ["ordered"] : [])
  ].join(" ")

/** What the core answers to each event, at times 0, 1, 2, ... */
const table = (events: ReadonlyArray<Event>): ReadonlyArray<string> =>
  Actor.replay(
    core,
    0,
    events.map((event, now) => ({ now, event }))
  ).outputs.map((outputs) => outputs.map(word).join("; "))

const wishes: SubscribeUpdate = { priority: 3, ordered: false, maxLatencyMs: 0, start: undefined, end: undefined }
const subscribe = (replyTo: number, holder: number, track = "v", wanted: Partial<SubscribeUpdate> = {}): Event => ({
  _tag: "Subscribe",
  replyTo,
  holder,
  broadcast: "b",
  track,
  wishes: { ...wishes, ...wanted }
})
const attach = (link: number, version: Traits): Event => ({
  _tag: "Attached",
  link,
  version: {
    alpn: version.alpn,
    setup: version.setup,
    announceOk: version.announceOk,
    subscribeUpdates: version.subscribeUpdates
  }
})
const release = (holder: number): Event => ({ _tag: "Release", holder })
const due = (_tag: "AnswerDue" | "LateGroupsDue" | "CutGroupsDue", id: number): Event => ({ _tag, id })
const accepted = (id: number, link = 0): Event => ({ _tag: "Accepted", link, id })
const finished = (id: number, missing?: number, link = 0): Event => ({
  _tag: "Finished",
  link,
  id,
  answered: true,
  missing
})
const groupClosed = (id: number, missing?: number, link = 0): Event => ({ _tag: "GroupClosed", link, id, missing })
const failed = (id: number, code: number): Event => ({ _tag: "Failed", link: 0, id, code })
const group = (replyTo: number, id: number, link = 0): Event => ({ _tag: "GroupOpened", link, replyTo, id })
const announced = (path: string, active = true, hops: ReadonlyArray<number> = [0], link = 0): Event => ({
  _tag: "Announced",
  link,
  path,
  active,
  hops,
  loop: false
})
const lost = (link: number, resume: boolean, cut = false): Event => ({
  _tag: "Lost",
  link,
  close: { _tag: "IdleTimeout" },
  resume,
  cut
})

/** The answer to the last of so many events. */
const many = (count: number, event: (n: number) => Event): string =>
  table([attach(0, lite03), ...Array.from({ length: count }, (_, n) => event(n))]).at(-1) ?? ""

const run = (version: Traits, name: string, rows: ReadonlyArray<readonly [Event, string]>): void =>
  it(`${name}`, () =>
    assert.deepStrictEqual(
      table([attach(0, version), ...rows.map(([event]) => event)]).slice(1),
      rows.map(([, expected]) => expected)
    ))

/** Rows on an attached connection of lite-03, where the first event is at time 1. */
const steps = (name: string, rows: ReadonlyArray<readonly [Event, string]>): void => run(lite03, name, rows)
const steps05 = (name: string, rows: ReadonlyArray<readonly [Event, string]>): void => run(lite05, name, rows)

const answer = (id: number, now: number): string => `timer answer/${id} ${now + Limits.answerTimeoutMs}`
const open = (id: number, track: string, now: number, wished = "p3"): string =>
  `OpenSubscription ${id} b ${track} fresh ${wished}; ${answer(id, now)}`
const left = (id: number): string => `clear answer/${id}; clear late/${id}`

describe("the core of a session", () => {
  steps("opens one subscription for all who want a track, and cancels it after the last one", [
    [subscribe(1, 10), open(0, "v", 1)],
    [subscribe(2, 11), ""],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}; reply 2 {"id":0,"fresh":true}'],
    [subscribe(3, 12), 'reply 3 {"id":0,"fresh":false}'],
    [release(10), ""],
    [release(10), ""],
    [release(12), ""],
    [release(11), `${left(0)}; CancelSubscription 0; ForgetSubscription 0`],
    [subscribe(4, 13), open(1, "v", 9)],
    [subscribe(5, 14, "w"), open(2, "w", 10)]
  ])

  steps("tells everybody who waits that the publisher refused, and asks anew for those who come later", [
    [subscribe(1, 10), open(0, "v", 1)],
    [subscribe(2, 11), ""],
    [failed(0, ErrorCode.notFound), `${left(0)}; refuse 1 NotFound; refuse 2 NotFound; CancelSubscription 0`],
    [subscribe(3, 12), open(1, "v", 4)],
    [failed(1, ErrorCode.unauthorized), `${left(1)}; refuse 3 Refused; CancelSubscription 1`],
    [release(10), ""],
    [release(11), `${left(0)}; ForgetSubscription 0`]
  ])

  steps("gives a silent publisher up", [
    [subscribe(1, 10), open(0, "v", 1)],
    [due("AnswerDue", 0), `${left(0)}; refuse 1 NoAnswer; CancelSubscription 0`],
    [accepted(0), ""],
    [due("AnswerDue", 0), ""]
  ])

  steps("ends a track only after its late groups where the publisher does not count them", [
    [subscribe(1, 10), open(0, "v", 1)],
    [group(2, 0), 'reply 2 "accept"'],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [finished(0), ""],
    [groupClosed(0), `timer late/0 ${5 + Limits.lateGroupsMs}`],
    [group(3, 0), 'reply 3 "accept"'],
    [due("LateGroupsDue", 0), ""],
    [groupClosed(0), `timer late/0 ${8 + Limits.lateGroupsMs}`],
    [due("LateGroupsDue", 0), "FinishTrack 0"],
    [group(4, 0), `reply 4 {"code":${ErrorCode.cancel}}`],
    [release(10), `${left(0)}; ForgetSubscription 0`]
  ])

  steps05("ends a track with its last group where the publisher counts them", [
    [subscribe(1, 10), open(0, "v", 1)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [group(2, 0), 'reply 2 "accept"'],
    [finished(0, 2), ""],
    [groupClosed(0, 1), `timer late/0 ${5 + Limits.lateGroupsMs}`],
    [group(3, 0), 'reply 3 "accept"'],
    [groupClosed(0, 0), "clear late/0; FinishTrack 0"]
  ])

  steps("takes an end without an answer for a refusal", [
    [subscribe(1, 10), open(0, "v", 1)],
    [{ _tag: "Finished", link: 0, id: 0, answered: false, missing: undefined }, `${left(0)}; refuse 1 Refused`]
  ])

  steps05("waits for the answer when the end has overtaken it", [
    [subscribe(1, 10), open(0, "v", 1)],
    [finished(0, 1), ""],
    [group(2, 0), 'reply 2 "accept"'],
    [groupClosed(0, 0), ""],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}; clear late/0; FinishTrack 0']
  ])

  steps("ends a track with the session when its publisher had finished it and no group is under way", [
    [subscribe(1, 10), open(0, "v", 1)],
    [group(2, 0), 'reply 2 "accept"'],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [finished(0), ""],
    [groupClosed(0), `timer late/0 ${5 + Limits.lateGroupsMs}`],
    [lost(0, false), "FinishTrack 0; End [object Object]; stop"]
  ])

  for (const [what, version, missing, cut] of [
    ["one of its groups is known to be missing", lite05, 1, false],
    ["a stream was cut of which nobody knows whose it was", lite03, undefined, true]
  ] as const) {
    run(version, `does not end a track with the session when ${what}`, [
      [subscribe(1, 10), open(0, "v", 1)],
      [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
      [finished(0, missing), `timer late/0 ${3 + Limits.lateGroupsMs}`],
      [lost(0, false, cut), "End [object Object]; stop"]
    ])
  }

  steps("does not end a track with the session while one of its groups is under way", [
    [subscribe(1, 10), open(0, "v", 1)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [finished(0), `timer late/0 ${3 + Limits.lateGroupsMs}`],
    [group(2, 0), 'reply 2 "accept"'],
    [lost(0, false), "End [object Object]; stop"]
  ])

  steps("does not end a track with the session when its publisher had not, nor one that has ended", [
    [subscribe(1, 10), open(0, "v", 1)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [subscribe(2, 11, "w"), open(1, "w", 3)],
    [accepted(1), 'clear answer/1; reply 2 {"id":1,"fresh":true}'],
    [finished(1), `timer late/1 ${5 + Limits.lateGroupsMs}`],
    [due("LateGroupsDue", 1), "FinishTrack 1"],
    [lost(0, false), "End [object Object]; stop"]
  ])

  steps("passes the failure of a track on", [
    [subscribe(1, 10), open(0, "v", 1)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [failed(0, 70), `${left(0)}; AbortTrack 0 70`],
    [failed(0, 71), ""],
    [subscribe(2, 11), open(1, "v", 5)]
  ])

  steps05("tells the publisher what satisfies every holder, when that changes (section 1.4)", [
    [
      subscribe(1, 10, "v", { priority: 3, start: 5, end: 9, maxLatencyMs: 100, ordered: true }),
      open(0, "v", 1, "p3 from 5 to 9 within 100 ordered")
    ],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [
      subscribe(2, 11, "v", { priority: 7, start: 8, end: 20, maxLatencyMs: 500, ordered: true }),
      'UpdateSubscription 0 p7 to 20 within 500 ordered; reply 2 {"id":0,"fresh":false}'
    ],
    [
      subscribe(3, 12, "v", { priority: 1, start: 2, end: 3, maxLatencyMs: 1 }),
      'UpdateSubscription 0 p7 from 2 to 20 within 500; reply 3 {"id":0,"fresh":false}'
    ],
    [subscribe(4, 13, "v", { priority: 7 }), 'UpdateSubscription 0 p7; reply 4 {"id":0,"fresh":false}'],
    [subscribe(5, 14, "v", { priority: 2 }), 'reply 5 {"id":0,"fresh":false}'],
    [release(11), ""],
    [release(13), "UpdateSubscription 0 p3"]
  ])

  steps("tells publishers that cannot be told nothing", [
    [subscribe(1, 10), open(0, "v", 1)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [subscribe(2, 11, "v", { priority: 9 }), 'reply 2 {"id":0,"fresh":false}'],
    [release(11), ""]
  ])

  steps("follows the peer's announcements, and forgives ends that mean nothing", [
    [announced("a", false), ""],
    [announced("a"), "Announce a 0"],
    [announced("a"), "Unannounce a; Announce a 0"],
    [announced("b"), "Announce b 0"],
    [announced("a", false), "Unannounce a"],
    [announced("a", false), ""],
    [{ _tag: "AnnouncementsEnded", link: 0 }, "Unannounce b"]
  ])

  const loop: Event = { _tag: "Announced", link: 0, path: "a", active: true, hops: [7, 42], loop: true }

  steps05("takes a restart from the same origin for another way to the same, from another one for something new", [
    [announced("a", true, [7]), "Announce a 7"],
    [announced("a", true, [7, 8]), ""],
    [announced("a", true, [9, 8]), "Unannounce a; Announce a 9,8"],
    [announced("a", true, [0]), "Unannounce a; Announce a 0"],
    [announced("a", true, [0]), "Unannounce a; Announce a 0"]
  ])

  steps05("does not hear of what came from here, and takes its end", [
    [loop, ""],
    [announced("a", false), ""],
    [announced("a", true, [7]), "Announce a 7"],
    [loop, "Unannounce a"]
  ])

  steps("serves each id of the peer once at a time", [
    [{ _tag: "SubscribeRequested", link: 0, replyTo: 1, id: 5 }, 'reply 1 "accept"'],
    [{ _tag: "SubscribeRequested", link: 0, replyTo: 2, id: 5 }, `reply 2 {"code":${ErrorCode.duplicate}}`],
    [{ _tag: "SubscribeClosed", link: 0, id: 5 }, ""],
    [{ _tag: "SubscribeRequested", link: 0, replyTo: 3, id: 5 }, 'reply 3 "accept"']
  ])

  steps05("expects one SETUP", [
    [{ _tag: "SetupReceived", link: 0 }, "clear setup"],
    [{ _tag: "SetupReceived", link: 0 }, `CloseSession ${ErrorCode.protocolViolation} a second SETUP`]
  ])

  steps05("gives up a peer that says no SETUP", [
    [{ _tag: "SetupDue", link: 0 }, `CloseSession ${ErrorCode.timeout} no SETUP came`]
  ])

  steps05("asks a peer that says goodbye for nothing new", [
    [subscribe(1, 10), open(0, "v", 1)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [{ _tag: "GoingAway", link: 0, uri: "there" }, "GoAway there"],
    [subscribe(2, 11), 'reply 2 {"id":0,"fresh":false}'],
    [subscribe(3, 12, "w"), "refuse 3 GoingAway"]
  ])

  steps("ends with the connection: nobody waits for ever", [
    [subscribe(1, 10), open(0, "v", 1)],
    [announced("a"), "Announce a 0"],
    [lost(0, false), "refuse 1 SessionEnded; End [object Object]; stop"]
  ])

  it("holds its limits", () => {
    assert.strictEqual(
      many(Limits.announceStreamsPerSession + 1, (n) => ({ _tag: "AnnounceRequested", link: 0, replyTo: n })),
      `reply ${Limits.announceStreamsPerSession} {"code":${ErrorCode.boundsExceeded}}`
    )
    assert.strictEqual(
      many(Limits.subscriptionsPerSession + 1, (n) => ({ _tag: "SubscribeRequested", link: 0, replyTo: n, id: n })),
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
  })
})

describe("the core of a session that loses its connection", () => {
  const cutOff = "clear answer/0; clear late/0; clear cut/0"
  const live: ReadonlyArray<readonly [Event, string]> = [
    [announced("b", true, [7]), "Announce b 7"],
    [subscribe(1, 10), open(0, "v", 2)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [lost(0, true), `Leave 0; clear setup; clear reannounce; ${cutOff}; Detached [object Object]`]
  ]
  const setup = (link: number, now: number): string => `Begin ${link}; timer setup ${now + Limits.answerTimeoutMs}`
  const reopened = (beginning: string, now: number): string =>
    `OpenSubscription 0 b v ${beginning} p3; timer cut/0 ${now + Limits.resumeGroupsMs}`

  steps05("goes on with a track when its broadcast is announced again by the same origin", [
    ...live,
    [attach(1, lite05), `${setup(1, 5)}; timer reannounce ${5 + Limits.answerTimeoutMs}`],
    [{ _tag: "AnnounceOk", link: 1, active: 1 }, ""],
    [announced("b", true, [7], 1), `${reopened("continue", 7)}; clear reannounce`],
    [group(2, 0, 1), 'reply 2 "accept"'],
    [due("CutGroupsDue", 0), "AbortCutGroups 0"],
    [release(10), `${left(0)}; CancelSubscription 0; ForgetSubscription 0`]
  ])

  steps05("ends a track when its broadcast comes from another origin", [
    ...live,
    [attach(1, lite05), `${setup(1, 5)}; timer reannounce ${5 + Limits.answerTimeoutMs}`],
    [announced("b", true, [8], 1), `Unannounce b 24; ${left(0)}; AbortTrack 0 24; Announce b 8`],
    [subscribe(3, 11), open(1, "v", 7)]
  ])

  steps05("ends what a peer that counts does not announce again, and its tracks", [
    ...live,
    [attach(1, lite05), `${setup(1, 5)}; timer reannounce ${5 + Limits.answerTimeoutMs}`],
    [{ _tag: "AnnounceOk", link: 1, active: 0 }, `clear reannounce; Unannounce b 24; ${left(0)}; AbortTrack 0 24`]
  ])

  steps("ends what any other peer does not announce again in time", [
    [announced("b"), "Announce b 0"],
    [announced("c"), "Announce c 0"],
    [lost(0, true), "Leave 0; clear setup; clear reannounce; Detached [object Object]"],
    [attach(1, lite03), `Begin 1; timer reannounce ${4 + Limits.reannounceMs}`],
    [announced("c", true, [0], 1), ""],
    [{ _tag: "ReannounceDue" }, "clear reannounce; Unannounce b 24"]
  ])

  steps("lets the numbers of groups tell where origins have no names", [
    [announced("b"), "Announce b 0"],
    [subscribe(1, 10), open(0, "v", 2)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [lost(0, true), `Leave 0; clear setup; clear reannounce; ${cutOff}; Detached [object Object]`],
    [attach(1, lite03), `Begin 1; timer reannounce ${5 + Limits.reannounceMs}`],
    [announced("b", true, [0], 1), reopened("check", 6)],
    [
      { _tag: "ContentChanged", link: 1, id: 0 },
      `${left(0)}; AbortTrack 0 24; CancelSubscription 0; Unannounce b 24; Announce b 0`
    ]
  ])

  steps("asks at once for a track whose broadcast was never announced", [
    [subscribe(1, 10), open(0, "v", 1)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [lost(0, true), `Leave 0; clear setup; clear reannounce; ${cutOff}; Detached [object Object]`],
    [attach(1, lite03), `Begin 1; ${reopened("check", 4)}`]
  ])

  steps("asks the next publisher for what was not answered, and for what was asked meanwhile", [
    [subscribe(1, 10), open(0, "v", 1)],
    [lost(0, true), `Leave 0; clear setup; clear reannounce; ${cutOff}; Detached [object Object]`],
    [subscribe(2, 11, "w"), ""],
    [attach(1, lite03), `Begin 1; ${open(0, "v", 4)}; ${open(1, "w", 4)}`],
    [accepted(1, 1), 'clear answer/1; reply 2 {"id":1,"fresh":true}']
  ])

  steps("ends a track of which everything had come", [
    [subscribe(1, 10), open(0, "v", 1)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [finished(0), `timer late/0 ${3 + Limits.lateGroupsMs}`],
    [lost(0, true), `Leave 0; clear setup; clear reannounce; ${cutOff}; FinishTrack 0; Detached [object Object]`],
    [attach(1, lite03), "Begin 1"]
  ])

  steps("asks again for the rest of a track whose last groups were cut", [
    [subscribe(1, 10), open(0, "v", 1)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [group(2, 0), 'reply 2 "accept"'],
    [finished(0), ""],
    [lost(0, true), `Leave 0; clear setup; clear reannounce; ${cutOff}; Detached [object Object]`],
    [attach(1, lite03), `Begin 1; ${reopened("check", 6)}`]
  ])

  steps("does not mix what two versions say", [
    [announced("b"), "Announce b 0"],
    [subscribe(1, 10), open(0, "v", 2)],
    [accepted(0), 'clear answer/0; reply 1 {"id":0,"fresh":true}'],
    [lost(0, true), `Leave 0; clear setup; clear reannounce; ${cutOff}; Detached [object Object]`],
    [attach(1, lite05), `${left(0)}; AbortTrack 0 ${ErrorCode.dropped}; Unannounce b; ${setup(1, 5)}`]
  ])

  steps("moves to another connection while it has one, and hears nothing of the old one any more", [
    [subscribe(1, 10), open(0, "v", 1)],
    [attach(1, lite03), `Leave 0; clear setup; clear reannounce; ${cutOff}; Begin 1; ${open(0, "v", 2)}`],
    [accepted(0, 0), ""],
    [group(2, 0, 0), `reply 2 {"code":${ErrorCode.cancel}}`],
    [{ _tag: "SubscribeRequested", link: 0, replyTo: 3, id: 1 }, `reply 3 {"code":${ErrorCode.cancel}}`],
    [lost(0, false), ""],
    [accepted(0, 1), 'clear answer/0; reply 1 {"id":0,"fresh":true}']
  ])

  steps("can be ended while it has none", [
    [subscribe(1, 10), open(0, "v", 1)],
    [lost(0, true), `Leave 0; clear setup; clear reannounce; ${cutOff}; Detached [object Object]`],
    [{ _tag: "Closed", close: { _tag: "IdleTimeout" } }, "refuse 1 SessionEnded; End [object Object]; stop"]
  ])
})

describe("the core of a session in any order", () => {
  const things = fc.oneof(
    fc.record({ what: fc.constant("subscribe"), n: fc.nat(3) }),
    fc.record({
      what: fc.constantFrom(
        "release",
        "accepted",
        "finished",
        "AnswerDue",
        "LateGroupsDue",
        "CutGroupsDue",
        "failed",
        "changed",
        "group",
        "groupClosed",
        "announce",
        "unannounce",
        "announceOk",
        "reannounceDue",
        "lost",
        "attach",
        "goaway"
      ),
      n: fc.nat(5)
    })
  )

  it("answers every request exactly once, opens nothing twice and keeps nothing behind", () =>
    fc.assert(
      fc.property(fc.constantFrom(lite03, lite05), fc.array(things, { maxLength: 80 }), (version, script) => {
        const state = core.initial(0)
        const replies = new Map<number, number>()
        /** What stands open on the present connection. */
        const opened = new Set<number>()
        let [asks, asked, link, attached] = [0, 0, -1, false]
        const tell = (event: Event): void => {
          for (const output of core.step(state, event, 0)) {
            if (output._tag === "Actor.Reply") replies.set(output.to, (replies.get(output.to) ?? 0) + 1)
            else if (output._tag === "OpenSubscription") {
              assert.isTrue(attached, "there is a connection")
              assert.isFalse(opened.has(output.id), "once on each")
              opened.add(output.id)
            } else if (output._tag === "Begin") {
              attached = true
            } else if (output._tag === "Leave") {
              opened.clear()
              attached = false
            } else if (output._tag === "ForgetSubscription") {
              opened.delete(output.id)
            }
          }
        }
        const happen = ({ n, what }: { readonly what: string; readonly n: number }): void => {
          switch (what) {
            case "subscribe":
              return tell(subscribe(asked, asked++, `t${n}`, { priority: n }))
            case "release":
              return tell(release(n))
            case "accepted":
              return tell(accepted(n, link))
            case "finished":
              return tell(finished(n, n % 2 === 0 ? undefined : n - 1, link))
            case "failed":
              return tell({ _tag: "Failed", link, id: n, code: 70 })
            case "changed":
              return tell({ _tag: "ContentChanged", link, id: n })
            case "group":
              return tell(group(-1 - asks++, n, link))
            case "groupClosed":
              return (state.subscriptions.get(n)?.openGroups ?? 0) > 0
                ? tell(groupClosed(n, undefined, link))
                : undefined
            case "announce":
              return tell(announced("b", true, [n % 3], link))
            case "unannounce":
              return tell(announced("b", false, [], link))
            case "announceOk":
              return tell({ _tag: "AnnounceOk", link, active: n % 2 })
            case "reannounceDue":
              return tell({ _tag: "ReannounceDue" })
            case "lost":
              return tell(lost(link, true, n % 2 === 0))
            case "goaway":
              return n === 0 ? tell({ _tag: "GoingAway", link, uri: "" }) : undefined
            case "attach":
              return tell(attach(++link, version))
            default:
              return tell(due(what as "AnswerDue", n))
          }
        }
        for (const thing of script) happen(thing)
        tell({ _tag: "Closed", close: { _tag: "IdleTimeout" } })
        for (let n = 0; n < asked; n++) tell(release(n))
        for (const count of replies.values()) assert.strictEqual(count, 1)
        for (let n = 0; n < asked; n++) {
          // who released before the answer no longer waits for one
          if (!replies.has(n)) assert.isTrue(script.some(({ what, n: holder }) => what === "release" && holder === n))
        }
        assert.strictEqual(state.subscriptions.size + state.byTrack.size + state.byHolder.size, 0)
      }),
      { numRuns: 1_000 }
    ))
})
