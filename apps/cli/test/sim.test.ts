import { afterAll, assert, describe, it } from "@effect/vitest"
import { events, run, stopAll } from "./irl.ts"

afterAll(stopAll)

describe("irl sim gossip", { timeout: 120_000 }, () => {
  const one = ["sim", "gossip", "--scenario", "GossipMulti-n20-r30", "--seeds", "0,1"]

  it("--json: an object for each seed, the same ones each time", async () => {
    const { code, stderr, stdout } = await run([...one, "--json"])
    assert.strictEqual(code, 0)
    assert.strictEqual(stderr, "")
    const rows = events(stdout)
    assert.deepStrictEqual(
      rows.map(({ event, missed, scenario, seed }) => ({ event, scenario, seed, missed })),
      [0, 1].map((seed) => ({ event: "result", scenario: "GossipMulti-n20-r30", seed, missed: 0 }))
    )
    for (const row of rows) assert.hasAllKeys(row, ["event", "scenario", "seed", "rmr", "ldh", "durationMs", "missed"])
    assert.strictEqual((await run([...one, "--json"])).stdout, stdout)
  })

  it("prints a table with a row for each seed and one for all of them", async () => {
    const { code, stdout } = await run(one)
    assert.strictEqual(code, 0)
    const [head = "", first = "", second = "", all = ""] = stdout.split("\n")
    assert.match(head, /^scenario +seed +rmr +ldh +durationMs +missed$/)
    assert.match(first, /^GossipMulti-n20-r30 +0 +0\.\d{3} +\d+\.\d{2} +\d+ +0$/)
    assert.match(second, /^GossipMulti-n20-r30 +1 /)
    assert.match(all, /^GossipMulti-n20-r30 +all +0\.\d{3} ± 0\.\d{3} +\d+\.\d{2} ± \d+\.\d{2} +\d+ ± \d+ +0 ± 0$/)
  })

  it("seeds are numbers and ranges, and may be large", async () => {
    const { stdout } = await run([...one.slice(0, -1), "7,2-4,212312388123", "--json"])
    assert.deepStrictEqual(
      events(stdout).map(({ seed }) => seed),
      [7, 2, 3, 4, 212312388123]
    )
  })

  it("without flags it takes the scenarios of 20 and of 100 peers", async () => {
    const { code, stdout } = await run(["sim", "gossip", "--json"])
    assert.strictEqual(code, 0)
    assert.deepStrictEqual(
      new Set(events(stdout).map(({ scenario }) => scenario)),
      new Set([
        "GossipSingle-n20-r30",
        "GossipSingle-n100-r30",
        "GossipMulti-n20-r30",
        "GossipMulti-n100-r30",
        "GossipAll-n20-r30",
        "GossipAll-n100-r5"
      ])
    )
  })

  const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, told: RegExp]> = [
    [
      ["--scenario", "Nonsense"],
      /--scenario Nonsense: there is no such scenario\. There are: quick, .*GossipAll-n100-r5/
    ],
    [["--scenario", "toString"], /there is no such scenario/],
    [["--seeds", "one"], /seeds.*whole numbers/],
    [["--seeds", ""], /seeds.*whole numbers/],
    [["--seeds", "1,"], /seeds.*whole numbers/],
    [["--seeds", "-1"], /seeds/],
    [["--seeds", "5-1"], /seeds.*whole numbers/],
    [["--seeds", "0-100000"], /at most 1000/],
    [["--rounds", "3"], /rounds/]
  ]
  for (const [args, told] of wrong) {
    it(`refuses ${args.join(" ")}: says what it takes, exit code 2`, async () => {
      const { code, stderr, stdout } = await run(["sim", "gossip", ...args])
      assert.strictEqual(code, 2)
      assert.strictEqual(stdout, "")
      assert.match(stderr, told)
    })
  }

  it("--help shows examples", async () => {
    const { code, stdout } = await run(["sim", "gossip", "--help"])
    assert.strictEqual(code, 0)
    assert.include(stdout, "irl sim gossip --scenario reference --seeds 0-19")
  })
})
