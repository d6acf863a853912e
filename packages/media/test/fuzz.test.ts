import { readFileSync } from "node:fs"
import { it } from "@effect/vitest"
import * as Fuzz from "@effect-live/wire/testing/Fuzz"
import { fuzzTargets } from "./fuzz.ts"

const corpus: ReadonlyArray<Fuzz.CorpusEntry> = JSON.parse(
  readFileSync(new URL("corpus/media.json", import.meta.url), "utf8")
)

it("every decoder answers hostile bytes with a value or a typed error", { timeout: 120_000 }, () => {
  Fuzz.assertSound(fuzzTargets, corpus)
})
