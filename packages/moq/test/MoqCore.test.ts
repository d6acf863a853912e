import * as Actor from "@effect-live/actor/Actor"
import type { Close } from "@effect-live/endpoint/Close"
import { ConnectError, Refused } from "@effect-live/endpoint/Endpoint"
import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { assert, describe, it } from "@effect/vitest"
import * as Limits from "../src/Limits.ts"
import { core, type Event } from "../src/MoqCore.ts"
import type { Connectivity } from "../src/Peer.ts"
import { idOf, realId } from "./support/ids.ts"
import { commandWord, isCommand } from "./support/word.ts"

const self = idOf(5)
/** Peers with smaller and larger ids than ours. */
const [small, large] = [idOf(1), idOf(9)]
const refused = new ConnectError({ peer: realId, reason: new Refused() })

const idle: Close = { _tag: "IdleTimeout" }
const duplicate: Close = { _tag: "Remote", code: 0, reason: "duplicate" }
const goodbye: Close = { _tag: "Remote", code: 0, reason: "cancelled" }

const word = (output: object & { readonly _tag: string }): string => {
  if (isCommand(output)) return commandWord(output)
  const { _tag, ...rest } = output as { readonly _tag: string } & Record<string, unknown>
  switch (_tag) {
    case "Dial":
      return `Dial ${rest["dial"]}`
    case "Join":
      return `Join ${rest["peer"]} ${rest["session"]}`
    case "Connectivity": {
      const { peer, state } = output as unknown as { readonly peer: number; readonly state: Connectivity }
      if (state._tag === "Connected") return `Connected ${peer}`
      if (state._tag === "Closed") return `Closed ${peer} ${state.close._tag}`
      return `Reconnecting ${peer} ${state.attempt} in ${state.nextInMs} ${state.lastError._tag}`
    }
    default:
      return [_tag, ...Object.values(rest).filter((value) => value !== "")].join(" ")
  }
}

/** What comes of each event, where timers that do not matter are left out. */
const table = (events: ReadonlyArray<readonly [now: number, event: Event]>): ReadonlyArray<string> =>
  Actor.replay(
    core(self),
    0,
    events.map(([now, event]) => ({ now, event }))
  ).outputs.map((outputs) =>
    outputs
      .map(word)
      .filter((line) => !line.startsWith("clear "))
      .join("; ")
  )

/** The answer to the last of so many events. */
const many = (count: number, event: (n: number) => Event): string =>
  table(Array.from({ length: count }, (_, n) => [n, event(n)])).at(-1) ?? ""

/** Rows in their order; a number sets the time of what follows. */
const steps = (name: string, rows: ReadonlyArray<number | readonly [Event, string]>): void =>
  it(`${name}`, () => {
    const events: Array<readonly [number, Event]> = []
    const expected: Array<string> = []
    let now = 0
    for (const row of rows) {
      if (typeof row === "number") now = row
      else {
        events.push([now, row[0]])
        expected.push(row[1])
      }
    }
    assert.deepStrictEqual(table(events), expected)
  })

const publish = (replyTo: number, path: string, broadcast: number): Event => ({
  _tag: "Publish",
  replyTo,
  path,
  broadcast
})
const connect = (replyTo: number, holder: number, id: EndpointId = large): Event => ({
  _tag: "Connect",
  replyTo,
  holder,
  id,
  to: id
})
const disconnect = (holder: number): Event => ({ _tag: "Disconnect", holder })
const dialed = (dial: number, connection: number, oneConnection = true): Event => ({
  _tag: "Dialed",
  dial,
  connection,
  oneConnection
})
const incoming = (
  replyTo: number,
  connection: number,
  id: EndpointId | undefined = large,
  oneConnection = true
): Event => ({ _tag: "Incoming", replyTo, connection, id, oneConnection })
const failed = (dial: number): Event => ({ _tag: "DialFailed", dial, error: refused })
const closed = (connection: number, close: Close = idle): Event => ({ _tag: "ConnectionClosed", connection, close })
const ended = (session: number, close: Close = idle): Event => ({ _tag: "SessionEnded", session, close })
const due = (_tag: "LingerDue" | "RedialDue" | "ResumeDue", peer: number): Event => ({ _tag, peer })
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

  // the numbers of peers, dials and sessions are drawn from one row: 0 is the peer, 1 its dial, 2 the session
  steps("dials once for all who ask, and shares the session until it lingered", [
    [connect(1, 10), "Dial 1"],
    [connect(2, 11), ""],
    [dialed(1, 70), "OpenSession 2 70; Join 0 2; reply 1 0; reply 2 0"],
    [connect(3, 12), "reply 3 0"],
    [disconnect(10), ""],
    [disconnect(11), ""],
    100,
    [disconnect(12), `timer linger/0 ${100 + Limits.sessionLingerMs}`],
    [connect(4, 13), "reply 4 0"],
    [due("LingerDue", 0), ""],
    200,
    [disconnect(13), `timer linger/0 ${200 + Limits.sessionLingerMs}`],
    [due("LingerDue", 0), "CloseSession 2 0 unused; Closed 0 Local; Forget 0"],
    [connect(5, 14), "Dial 4"],
    [closed(70), "CloseSession 2 0; ForgetConnection 70"],
    [ended(2), ""]
  ])

  steps("tells all who waited why the first dial failed; the next one dials anew", [
    [connect(1, 10), "Dial 1"],
    [connect(2, 11), ""],
    [failed(1), "refuse 1 ConnectError; refuse 2 ConnectError"],
    [connect(3, 12), "Dial 3"],
    [disconnect(10), ""],
    [disconnect(11), "Forget 0"]
  ])

  steps("gives a dial up that nobody waits for, and hangs up when that comes too late", [
    [connect(1, 10), "Dial 1"],
    [disconnect(10), "CancelDial 1; Forget 0"],
    [dialed(1, 70), "CloseConnection 70 0 unused"],
    [connect(2, 11), "Dial 3"]
  ])

  steps("dials a lost connection again, at growing intervals, and goes on with the same session", [
    [connect(1, 10), "Dial 1"],
    [dialed(1, 70), "OpenSession 2 70; Join 0 2; reply 1 0"],
    10_000,
    [closed(70), "timer resume/0 40000; Reconnecting 0 1 in 84 IdleTimeout; timer redial/0 10084; ForgetConnection 70"],
    10_084,
    [due("RedialDue", 0), "Reconnecting 0 1 in 0 IdleTimeout; Dial 3"],
    [connect(2, 11), "reply 2 0"],
    [failed(3), "Reconnecting 0 2 in 163 ConnectError; timer redial/0 10247"],
    10_247,
    [due("RedialDue", 0), "Reconnecting 0 2 in 0 ConnectError; Dial 4"],
    [dialed(4, 71), "Attach 2 71; Connected 0"],
    // one that did not live for long is no new beginning
    11_000,
    [closed(71), "timer resume/0 41000; Reconnecting 0 3 in 243 IdleTimeout; timer redial/0 11243; ForgetConnection 71"]
  ])

  steps("gives up when no connection came for resumeMs: then the loss is the end", [
    [connect(1, 10), "Dial 1"],
    [dialed(1, 70), "OpenSession 2 70; Join 0 2; reply 1 0"],
    [closed(70), "timer resume/0 30000; Reconnecting 0 1 in 84 IdleTimeout; timer redial/0 84; ForgetConnection 70"],
    [due("RedialDue", 0), "Reconnecting 0 1 in 0 IdleTimeout; Dial 3"],
    [due("ResumeDue", 0), "CloseSession 2 0; CancelDial 3; Closed 0 IdleTimeout"],
    [ended(2), ""],
    [connect(2, 11), "Dial 5"],
    [disconnect(10), "Forget 0"]
  ])

  steps("takes the peer's own close as final, and what it said before as its goodbye", [
    [connect(1, 10), "Dial 1"],
    [dialed(1, 70), "OpenSession 2 70; Join 0 2; reply 1 0"],
    [closed(70, goodbye), "ForgetConnection 70"],
    [connect(2, 11), "Dial 4"], // the old one is only not over yet
    [ended(2, goodbye), "Closed 0 Remote"],
    [dialed(4, 71), "OpenSession 5 71; Join 3 5; reply 2 3"],
    [{ _tag: "GoingAway", session: 5 }, ""],
    [connect(3, 12), "Dial 7"],
    [closed(71), "CloseSession 5 0; ForgetConnection 71"],
    [ended(5), "Closed 3 IdleTimeout"]
  ])

  steps(
    "shares a session that the peer opened, dials itself when the peer hangs up, and leaves it the peer's in the end",
    [
      [incoming(1, 70), 'OpenSession 0 70; reply 1 "accept"'],
      [connect(2, 10), "Join 1 0; reply 2 1"],
      [
        closed(70, { _tag: "Remote", code: 0, reason: "unused" }),
        "timer resume/1 30000; Reconnecting 1 1 in 84 Remote; timer redial/1 84; ForgetConnection 70"
      ],
      [incoming(3, 71), 'Attach 0 71; Connected 1; reply 3 "accept"'],
      [disconnect(10), `timer linger/1 ${Limits.sessionLingerMs}`],
      [due("LingerDue", 1), "Closed 1 Local; Forget 1"],
      [closed(71), "CloseSession 0 0; ForgetConnection 71"]
    ]
  )

  steps("takes the newest of the sessions that a peer opened one after the other", [
    [incoming(1, 70), 'OpenSession 0 70; reply 1 "accept"'],
    [incoming(2, 71), 'OpenSession 1 71; reply 2 "accept"'],
    [connect(3, 10), "Join 2 1; reply 3 2"],
    [incoming(4, 72), 'Attach 1 72; CloseConnection 71 0 duplicate; reply 4 "accept"'],
    [closed(71, duplicate), "ForgetConnection 71"]
  ])

  steps("both dial, and our id is the smaller one: uses what comes first and ends up with ours", [
    [connect(1, 10), "Dial 1"],
    [incoming(2, 70), 'OpenSession 2 70; Join 0 2; reply 1 0; reply 2 "accept"'],
    [dialed(1, 71), "Attach 2 71; CloseConnection 70 0 duplicate"],
    [closed(70, duplicate), "ForgetConnection 70"],
    [incoming(3, 72), 'reply 3 {"code":0,"reason":"duplicate"}'],
    [closed(72, duplicate), "ForgetConnection 72"],
    // who was told so and dials again does not have ours
    [incoming(4, 73), 'Attach 2 73; CloseConnection 71 0 duplicate; reply 4 "accept"']
  ])

  steps("both dial, and our id is the larger one: gives ours up", [
    [connect(1, 10, small), "Dial 1"],
    [incoming(2, 70, small), 'OpenSession 2 70; Join 0 2; reply 1 0; CancelDial 1; reply 2 "accept"'],
    [dialed(1, 71), "CloseConnection 71 0 unused"],
    [connect(3, 11, small), "reply 3 0"]
  ])

  steps("both dial, and ours is open when the peer's comes, which is kept", [
    [connect(1, 10, small), "Dial 1"],
    [dialed(1, 70), "OpenSession 2 70; Join 0 2; reply 1 0"],
    [incoming(2, 71, small), 'Attach 2 71; CloseConnection 70 0 duplicate; reply 2 "accept"']
  ])

  steps("waits for the connection that was kept when ours is closed as its duplicate, and says nothing of it", [
    [connect(1, 10, small), "Dial 1"],
    [dialed(1, 70), "OpenSession 2 70; Join 0 2; reply 1 0"],
    [closed(70, duplicate), `timer resume/0 30000; timer redial/0 ${Limits.duplicateGraceMs}; ForgetConnection 70`],
    [incoming(2, 71, small), 'Attach 2 71; reply 2 "accept"'],
    [closed(71, duplicate), `timer resume/0 30000; timer redial/0 ${Limits.duplicateGraceMs}; ForgetConnection 71`],
    [due("RedialDue", 0), "Reconnecting 0 2 in 0 Remote; Dial 3"]
  ])

  steps("keeps both connections of a peer whose version knows of no duplicates", [
    [connect(1, 10), "Dial 1"],
    [incoming(2, 70, large, false), 'OpenSession 2 70; Join 0 2; reply 1 0; reply 2 "accept"'],
    [dialed(1, 71, false), "OpenSession 3 71; Join 0 3"],
    [closed(70, goodbye), "ForgetConnection 70"],
    [ended(2, goodbye), "Leave 0 2"],
    [closed(71), "timer resume/0 30000; Reconnecting 0 1 in 84 IdleTimeout; timer redial/0 84; ForgetConnection 71"],
    [incoming(3, 72, large, false), 'Attach 3 72; Connected 0; reply 3 "accept"']
  ])

  steps("ends what nobody here holds with its connection", [
    [incoming(1, 70, undefined), 'OpenSession 0 70; reply 1 "accept"'],
    [incoming(2, 71), 'OpenSession 1 71; reply 2 "accept"'],
    [closed(70), "CloseSession 0 0; ForgetConnection 70"],
    [closed(71), "CloseSession 1 0; ForgetConnection 71"],
    [ended(0), ""],
    [ended(1), ""]
  ])

  steps("shuts down: announcements end, peers hear of it, and every session closes when nothing is on its way to it", [
    [publish(1, "a", 10), "Announce a 10; reply 1"],
    [connect(2, 10), "Dial 1"],
    [dialed(1, 70), "OpenSession 2 70; Join 0 2; reply 2 0"],
    [incoming(3, 71, small), 'OpenSession 3 71; reply 3 "accept"'],
    [shutDown(4), `WithdrawAll; SayGoodbye 2; SayGoodbye 3; timer drain ${Limits.shutdownDrainMs}`],
    [shutDown(5), ""],
    [publish(6, "b", 11), "refuse 6 ShutDown"],
    [connect(7, 12), "refuse 7 ShutDown"],
    [incoming(8, 72), 'reply 8 {"code":0,"reason":"cancelled"}'],
    [{ _tag: "Drained", session: 2 }, "CloseSession 2 0 cancelled"],
    [{ _tag: "DrainDue" }, "CloseSession 2 0 cancelled; CloseSession 3 0 cancelled"],
    [closed(71, goodbye), "ForgetConnection 71"],
    [ended(3, goodbye), ""],
    // a session whose end is known before that of its connection
    [ended(2, goodbye), "CloseConnection 70 0; Closed 0 Remote; reply 4; reply 5"],
    [shutDown(9), "reply 9"]
  ])

  steps("shuts down at once where there is no session, and gives up what is dialed", [
    [connect(1, 10), "Dial 1"],
    [shutDown(2), "WithdrawAll; refuse 1 ShutDown; CancelDial 1; reply 2"],
    [disconnect(10), "Forget 0"]
  ])

  steps("shuts down without waiting for a connection that is lost", [
    [connect(1, 10), "Dial 1"],
    [dialed(1, 70), "OpenSession 2 70; Join 0 2; reply 1 0"],
    [closed(70), "timer resume/0 30000; Reconnecting 0 1 in 84 IdleTimeout; timer redial/0 84; ForgetConnection 70"],
    [shutDown(2), `WithdrawAll; CloseSession 2 0; timer drain ${Limits.shutdownDrainMs}`],
    [ended(2), "Closed 0 IdleTimeout; reply 2"]
  ])

  it("holds its limits", () => {
    assert.match(
      many(Limits.broadcastsPerOrigin + 1, (n) => publish(n, `p${n}`, n)),
      /TooManyBroadcasts$/
    )
    assert.match(
      many(Limits.sessions + 1, (n) => incoming(n, n, undefined)),
      /too many sessions/
    )
    assert.match(
      many(Limits.sessionsPerPeer + 1, (n) => incoming(n, n)),
      /too many sessions/
    )
    assert.match(
      many(Limits.sessions + 1, (n) => connect(n, n, idOf(n + 10))),
      /TooManySessions$/
    )
  })
})
