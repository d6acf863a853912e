import * as Rng from "@effect-live/actor/Rng"
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Recent } from "../../src/internal/Recent.ts"

type Action =
  | { readonly _tag: "Add"; readonly id: string; readonly value: number }
  | { readonly _tag: "DeleteOldest"; readonly count: number }
  | { readonly _tag: "Delete"; readonly which: number }
  | { readonly _tag: "Trim" }

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ _tag: fc.constant("Add" as const), id: fc.nat(200).map(String), value: fc.double() })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("DeleteOldest" as const), count: fc.nat(30) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Delete" as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "Trim" } as const) }
)

/** `hash`: with few different ones many ids are looked for at one place. */
const behaves = (actions: ReadonlyArray<Action>, salt: number, hash: (id: string) => number): void => {
  const recent = new Recent(2, salt)
  const model = new Map<string, number>()
  const remove = (id: string | undefined): void => {
    if (id === undefined) return
    recent.delete(recent.find(id, hash(id)))
    model.delete(id)
  }
  for (const action of actions) {
    switch (action._tag) {
      case "Add": {
        if (model.has(action.id)) break
        const position = recent.add(action.id, hash(action.id))
        recent.setNumber(position, 0, model.size)
        recent.setNumber(position, 1, action.value)
        model.set(action.id, action.value)
        break
      }
      case "DeleteOldest":
        for (let left = action.count; left > 0 && model.size > 0; left--) {
          const [oldest] = model.keys()
          assert.strictEqual(recent.find(oldest ?? "", hash(oldest ?? "")), recent.oldest())
          remove(oldest)
        }
        break
      case "Delete":
        remove([...model.keys()][action.which % Math.max(1, model.size)])
        break
      case "Trim":
        recent.trim()
    }
    assert.strictEqual(recent.size, model.size)
    if (model.size === 0) assert.strictEqual(recent.oldest(), -1)
    for (let id = 0; id <= 200; id++) {
      const position = recent.find(`${id}`, hash(`${id}`))
      assert.strictEqual(position < 0 ? undefined : recent.number(position, 1), model.get(`${id}`))
    }
  }
}

describe("Recent", () => {
  it("finds what was put in and not taken out, with its numbers, the oldest first", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 150 }), fc.nat(), (actions, salt) => {
        behaves(actions, salt, Rng.hash)
        behaves(actions, salt, (id) => id.length)
      }),
      { numRuns: 30 }
    )
  })

  it("keeps an id that is put in again twice, until each is taken out", () => {
    const recent = new Recent(1, 0)
    for (const value of [1, 2]) recent.setNumber(recent.add("a", 7), 0, value)
    recent.delete(recent.oldest())
    assert.strictEqual(recent.number(recent.find("a", 7), 0), 2)
    recent.delete(recent.oldest())
    assert.strictEqual(recent.find("a", 7), -1)
  })
})
