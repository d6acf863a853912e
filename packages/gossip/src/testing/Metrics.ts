/** What a broadcast is judged by (iroh-gossip section 6.2), and how runs are summed up and compared. */

export interface Metrics {
  /** Relative message redundancy: contents received for each one that was needed, less 1. */
  readonly rmr: number
  /** Last delivery hop: the hops of the content that came the longest way; 0 is direct. */
  readonly ldh: number
  /** From the broadcast to the last first delivery. */
  readonly durationMs: number
  /** Deliveries that did not happen. */
  readonly missed: number
}

/** One round: all its broadcasts at once, until everybody has everything. */
export interface Round extends Metrics {
  /** Messages of PlumTree that carry no content: Prune, Graft and IHave received. */
  readonly control: number
}

export interface Summary {
  readonly min: Metrics
  readonly max: Metrics
  readonly mean: Metrics
}

/** One figure of each kind from all of that kind. */
const each = (all: ReadonlyArray<Metrics>, of: (values: ReadonlyArray<number>) => number): Metrics => ({
  rmr: of(all.map(({ rmr }) => rmr)),
  ldh: of(all.map(({ ldh }) => ldh)),
  durationMs: of(all.map(({ durationMs }) => durationMs)),
  missed: of(all.map(({ missed }) => missed))
})

const min = (values: ReadonlyArray<number>): number => values.reduce((a, b) => Math.min(a, b), Infinity)
const max = (values: ReadonlyArray<number>): number => values.reduce((a, b) => Math.max(a, b), -Infinity)
const mean = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0) / values.length
const deviation = (values: ReadonlyArray<number>): number => {
  const middle = mean(values)
  return values.length < 2
    ? 0
    : Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1))
}

/** A run: over its rounds. No rounds give `NaN` means. */
export const summarize = (rounds: ReadonlyArray<Metrics>): Summary => ({
  min: each(rounds, min),
  max: each(rounds, max),
  mean: each(rounds, mean)
})

export interface Across extends Summary {
  /** Between the means of the seeds. */
  readonly deviation: Metrics
}

/** Several seeds, read fairly: the mean of their means and how far these differ; the least and the most of all rounds. */
export const acrossSeeds = (runs: ReadonlyArray<Summary>): Across => {
  const means = runs.map((run) => run.mean)
  return {
    min: each(
      runs.map((run) => run.min),
      min
    ),
    max: each(
      runs.map((run) => run.max),
      max
    ),
    mean: each(means, mean),
    deviation: each(means, deviation)
  }
}

/** Several seeds as the Rust simulator prints them: the least over the seeds in all three rows (section 7.1, finding 27). */
export const acrossSeedsUpstream = (runs: ReadonlyArray<Summary>): Summary => {
  const least = (row: keyof Summary) =>
    each(
      runs.map((run) => run[row]),
      min
    )
  return { min: least("min"), max: least("max"), mean: least("mean") }
}

/** How much the second differs, as a share of the first: 0.1 is a tenth more. From nothing to something is `Infinity`. */
export const change = (before: Metrics, after: Metrics): Metrics => ({
  rmr: share(before.rmr, after.rmr),
  ldh: share(before.ldh, after.ldh),
  durationMs: share(before.durationMs, after.durationMs),
  missed: share(before.missed, after.missed)
})

const share = (before: number, after: number): number => (before === after ? 0 : (after - before) / before)
