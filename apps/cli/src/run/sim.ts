/** `irl sim gossip`: scenarios of simulated swarms, a row for each seed. */
import { Metrics, Scenario, Scenarios } from "@effect-live/gossip/testing"
import { Effect } from "effect"
import * as Failure from "../Failure.ts"
import { Output } from "../Output.ts"

interface Input {
  readonly scenario: string
  readonly seeds: ReadonlyArray<number>
}

const groups: { readonly [name: string]: ReadonlyArray<Scenario.Scenario> } = {
  quick: Scenarios.reference.filter(({ peers }) => peers <= 100),
  reference: Scenarios.reference,
  withstand: Scenarios.withstanding,
  all: Scenarios.all
}

export const gossip = Effect.fnUntraced(function* (input: Input) {
  const scenarios = yield* choose(input.scenario)
  const output = yield* Output
  const width = Math.max(...scenarios.flatMap(namesOf).map((name) => name.length))
  const line = (scenario: string, seed: string, figures: ReadonlyArray<string>): string =>
    [scenario.padEnd(width), seed.padStart(12), ...figures.map((figure) => figure.padStart(15))].join("  ")
  yield* output.text(line("scenario", "seed", ["rmr", "ldh", "durationMs", "missed"]))
  for (const scenario of scenarios) {
    const results: Array<Scenario.Result> = []
    for (const seed of input.seeds) {
      yield* output.live ? output.status(`${scenario.name}, seed ${seed} …`) : Effect.void
      // A run blocks; between two of them Ctrl-C is heard.
      yield* Effect.sleep(0)
      const result = Scenario.run(scenario, seed)
      results.push(result)
      for (const { mean, name } of result.series) {
        yield* output.event("result", { scenario: name, seed, ...mean }, line(name, String(seed), figures(mean)))
      }
      const { isolated, peers, swarms } = result.health
      if (isolated > 0 || swarms > 1)
        yield* output.hint(`${scenario.name}, seed ${seed}: ${isolated} of ${peers} peers isolated, ${swarms} swarms`)
    }
    if (input.seeds.length < 2) continue
    for (const [name, runs] of Scenario.bySeries(results)) {
      const { deviation, mean } = Metrics.acrossSeeds(runs)
      const [means, deviations] = [figures(mean), figures(deviation)]
      const spread = means.map((figure, index) => `${figure} ± ${deviations[index]}`)
      yield* output.text(line(name, "all", spread))
    }
  }
})

/** A name for each of its rows. */
const namesOf = ({ name, steps }: Scenario.Scenario): ReadonlyArray<string> =>
  steps.flatMap((step) => (step._tag === "Rounds" ? [step.name ?? name] : []))

const figures = ({ durationMs, ldh, missed, rmr }: Metrics.Metrics): ReadonlyArray<string> => [
  rmr.toFixed(3),
  ldh.toFixed(2),
  durationMs.toFixed(0),
  missed.toFixed(missed === 0 ? 0 : 2)
]

const choose = (name: string): Effect.Effect<ReadonlyArray<Scenario.Scenario>, Failure.Failure> => {
  const named = Scenarios.all.filter((scenario) => scenario.name === name)
  const found = Object.hasOwn(groups, name) ? groups[name] : named
  if (found !== undefined && found.length > 0) return Effect.succeed(found)
  const names = [...Object.keys(groups), ...Scenarios.all.map((scenario) => scenario.name)].join(", ")
  return Effect.fail(Failure.misuse("Usage", `--scenario ${name}: there is no such scenario. There are: ${names}`))
}
