import { assertSound, type CorpusEntry } from "@effect-live/wire/testing/Fuzz"
import { it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { fuzzTargets } from "./fuzz.ts"

const corpus = JSON.parse(
  readFileSync(new URL("corpus/hostile.json", import.meta.url), "utf8")
) as ReadonlyArray<CorpusEntry>

it("answers 200,000 hostile inputs with a value or a typed error", { timeout: 300_000 }, () => {
  assertSound(fuzzTargets, corpus)
})
