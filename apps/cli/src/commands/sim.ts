import { Effect } from "effect"
import { CliError, Command, Flag } from "effect/cli"

const mostSeeds = 1_000

/** `0,1,5-9`: whole numbers, and ranges of them. Undefined when it is none of these. */
const parseSeeds = (text: string): ReadonlyArray<number> | undefined => {
  const seeds: Array<number> = []
  for (const part of text.split(",")) {
    const [, first = "", last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? []
    const [from, to] = [Number(first), Number(last)]
    if (first === "" || !Number.isSafeInteger(to) || from > to || seeds.length + to - from >= mostSeeds)
      return undefined
    for (let seed = from; seed <= to; seed++) seeds.push(seed)
  }
  return seeds
}

const seedsFlag = Flag.String("seeds").pipe(
  Flag.withMetavar("A,B"),
  Flag.withDefault("0,1"),
  Flag.withDescription("Whole numbers and ranges such as 0-19: every seed is one run, and always the same one (0,1)"),
  Flag.mapEffect((value) => {
    const seeds = parseSeeds(value)
    if (seeds !== undefined) return Effect.succeed(seeds)
    const expected = `whole numbers and ranges such as 0,1 or 0-19, at most ${mostSeeds}`
    return Effect.fail(new CliError.InvalidValue({ option: "seeds", value, expected, kind: "flag" }))
  })
)

const gossip = Command.make(
  "gossip",
  {
    scenario: Flag.String("scenario").pipe(
      Flag.withMetavar("S"),
      Flag.withDefault("quick"),
      Flag.withDescription(
        "A name such as GossipMulti-n100-r30, or one of the groups quick, reference, withstand, all (quick)"
      )
    ),
    seeds: seedsFlag
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("../run/sim.ts")),
      (run) => run.gossip(input)
    )
).pipe(
  Command.withDescription(
    "Broadcasts in a simulated swarm: how many contents came more than once (rmr), over how many hops (ldh), how long it took, what was missed."
  ),
  Command.withExamples([
    { command: "irl sim gossip", description: "Swarms of 20 and 100 peers, in seconds" },
    { command: "irl sim gossip --scenario GossipMulti-n1000-r30 --seeds 0,1,2", description: "One scenario" },
    {
      command: "irl sim gossip --scenario reference --seeds 0-19",
      description: "What the Rust implementation measures"
    },
    { command: "irl sim gossip --scenario withstand", description: "Peers that die, swarms that split, churn" }
  ])
)

export const sim = Command.make("sim").pipe(
  Command.withDescription("Run protocols in virtual time: the same seed gives the same run."),
  Command.withExamples([{ command: "irl sim gossip", description: "Broadcasts in simulated swarms" }]),
  Command.withSubcommands([gossip])
)
