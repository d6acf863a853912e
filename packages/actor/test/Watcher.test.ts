import { describe, it } from "@effect/vitest"
import { watcherCases } from "./cases/watcher.ts"
import { testWorld } from "./testWorld.ts"

describe("Watcher", () => {
  for (const { name, run } of watcherCases) it.effect(name, () => run(testWorld))
})
