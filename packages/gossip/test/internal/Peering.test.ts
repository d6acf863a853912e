import type { EndpointId } from "@effect-live/endpoint/EndpointId"
import { assert, describe, it } from "@effect/vitest"
import * as Peering from "../../src/internal/Peering.ts"
import type { Output } from "../../src/internal/Peers.ts"
import * as Limits from "../../src/Limits.ts"
import { content, joining } from "../support/raw.ts"
import { topicOf } from "../support/services.ts"

const peer = "2".padStart(64, "0") as EndpointId
const topic = topicOf(1)

const rig = () => {
  const state = Peering.initial(1)
  const out: Array<Output> = []
  const to = {
    push: (output: Output | { readonly _tag: string }) => {
      if (!output._tag.startsWith("Actor.")) out.push(output as Output)
    }
  }
  const dialed = () => {
    const [dial] = state.byDial.keys()
    out.length = 0
    Peering.step(state, { _tag: "Dialed", dial: dial ?? -1, connection: 1 }, 0, to)
    return out.length
  }
  return { state, out, to, dialed }
}

describe("a peer that is being dialed", () => {
  it("has a limit of contents that wait for it; further ones are counted", () => {
    const { dialed, state, to } = rig()
    for (let n = 0; n < 2 * Limits.waitingPayloads; n++) {
      assert.strictEqual(Peering.send(state, peer, topic, content(`${n}`), false, 0, to), "accepted")
    }
    assert.strictEqual(Peering.send(state, peer, topic, joining, false, 0, to), "accepted")
    assert.strictEqual(state.counters.undeliverable, Limits.waitingPayloads)
    assert.strictEqual(dialed(), Limits.waitingPayloads + 1)
  })

  it("is given up, with all that waits, when not even control has room", () => {
    const { dialed, state, to } = rig()
    for (let n = 0; n < Limits.waitingControls; n++)
      assert.strictEqual(Peering.send(state, peer, topic, joining, false, 0, to), "accepted")
    assert.strictEqual(Peering.send(state, peer, topic, joining, false, 0, to), "gone")
    assert.strictEqual(state.counters.undeliverable, Limits.waitingControls)
    assert.strictEqual(dialed(), 0)
  })

  it("loses what waits when it cannot be reached, and that is counted", () => {
    const { dialed, state, to } = rig()
    Peering.send(state, peer, topic, joining, false, 0, to)
    const [dial] = state.byDial.keys()
    const loss = Peering.step(state, { _tag: "DialFailed", dial: dial ?? -1 }, 0, to)
    assert.deepStrictEqual(loss, { _tag: "Gone", peer })
    assert.strictEqual(state.counters.undeliverable, 1)
    // what comes in the pause waits for the next attempt
    Peering.send(state, peer, topic, joining, false, 1, to)
    assert.strictEqual(state.byDial.size, 0)
    Peering.step(state, { _tag: "RedialDue", peer }, Limits.redialMinMs, to)
    assert.strictEqual(dialed(), 1)
  })
})
