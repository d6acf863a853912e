import { readFileSync } from "node:fs"
import { it } from "@effect/vitest"
import { assertSound } from "@effect-live/wire/testing/Fuzz"
import { fuzzTargets } from "./fuzz.ts"

it("answers 200,000 hostile inputs with a value or a typed error", { timeout: 300_000 }, () => {
  assertSound(fuzzTargets, JSON.parse(readFileSync(new URL("./corpus/hostile.json", import.meta.url), "utf8")))
})
