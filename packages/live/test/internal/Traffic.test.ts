import { assert, describe, it } from "@effect/vitest"
import * as Traffic from "../../src/internal/Traffic.ts"

const carrying = (...receivedBytes: ReadonlyArray<number>) => ({
  paths: () => receivedBytes.map((received) => ({ receivedBytes: received, sentBytes: 1, lostPackets: 2 }))
})

describe("what connections carried", () => {
  it("counts from the beginning, over all paths", () => {
    let present = carrying(100, 20)
    const totals = Traffic.since(() => present)
    assert.deepStrictEqual(totals(), { receivedBytes: 0, sentBytes: 0, lostPackets: 0 })
    const { paths } = carrying(150, 20, 7)
    present = Object.assign(present, { paths })
    assert.deepStrictEqual(totals(), { receivedBytes: 57, sentBytes: 1, lostPackets: 2 })
  })

  it("goes on when another connection takes the place of one", () => {
    let present = carrying(100)
    const totals = Traffic.since(() => present)
    const { paths } = carrying(130)
    Object.assign(present, { paths })
    present = carrying(5)
    assert.deepStrictEqual(totals(), { receivedBytes: 35, sentBytes: 1, lostPackets: 2 })
    present = carrying(1)
    assert.deepStrictEqual(totals(), { receivedBytes: 36, sentBytes: 2, lostPackets: 4 })
  })
})
