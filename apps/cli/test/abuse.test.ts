/**
 * The abuse list with real processes over real iroh: a publisher, three honest subscribers, and somebody who abuses it. How long
 * frames take meanwhile is measured by `npm run bench -- abuse`.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { afterAll, assert, describe, it } from "@effect/vitest"
import type { Report } from "./abuser.ts"
import { events, folder, irl, type Irl, publish, run, sample, stopAll } from "./irl.ts"
import { assertRuns, unitsOf } from "./units.ts"

const files = folder()
afterAll(() => {
  stopAll()
  files.remove()
})

/** Collects garbage when asked by a signal, and says what the process takes then. */
const collector = `process.on("SIGUSR2", () => {
  gc()
  gc()
  const { heapUsed, rss } = process.memoryUsage()
  process.stderr.write("settled " + heapUsed + " " + rss + "\\n")
})`
const nodeFlags = [
  "--expose-gc",
  "--max-semi-space-size=1",
  "--import",
  `data:text/javascript,${encodeURIComponent(collector)}`
]
/** What glibc has been given back it gives back too, as far as it can: what the process takes is what it holds. */
const env = { MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "65536" }

/** Waits until something new is said that fits. */
const next = (irl: Irl, stream: "stdout" | "stderr", pattern: RegExp): Promise<RegExpExecArray> =>
  irl.sees(stream, pattern, irl[stream]().length)

/** Bytes after a collection. */
const settle = async (publisher: Irl): Promise<{ readonly heap: number; readonly resident: number }> => {
  const told = next(publisher, "stderr", /settled (\d+) (\d+)\n/)
  publisher.kill("SIGUSR2")
  const [, heap, resident] = await told
  return { heap: Number(heap), resident: Number(resident) }
}

/** Runs the abuser to its end. */
const abuse = (ticket: string, track: string, ...kinds: ReadonlyArray<string>): Promise<ReadonlyArray<Report>> =>
  new Promise((resolve, reject) => {
    const program = fileURLToPath(new URL("abuser.ts", import.meta.url))
    const child = spawn(process.execPath, ["--conditions=@effect-live/source", program, ticket, track, ...kinds], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
    child.on("error", reject)
    child.on("close", (code) => {
      if (code === 0)
        resolve(
          stdout
            .trimEnd()
            .split("\n")
            .map((line) => JSON.parse(line))
        )
      else reject(new Error(`the abuser ended with ${code}: ${stderr}`))
    })
  })

const tooMany = { code: 11, reason: "too many requests" }

describe("publish withstands abuse", { timeout: 240_000 }, () => {
  it("of every kind: honest subscribers get every frame, the abuser a typed end, and memory comes back", async () => {
    const { publisher, ticket } = await publish([sample, "--loop"], { nodeFlags, env })
    const { stdout } = await run(["info", ticket, "--json"])
    const [, track = ""] = /"track":"(video[^"]*)"/.exec(stdout) ?? []
    const watch = (name: string) => {
      const copy = files.path(`${name}.mkv`)
      return { copy, recorder: irl(["record", ticket, "-o", copy, "--json"]) }
    }
    const honest = [watch("ada"), watch("bob"), watch("eve")] as const
    await Promise.all(honest.map(({ recorder }) => recorder.sees("stdout", /"mediaMs":[2-9]\d{3},/)))
    const calm = await settle(publisher)
    // allocators keep what they once got, so the first abuser's memory counts as taken; a further one may not take more
    await abuse(ticket, track, "greedy", "half-open", "rubbish")
    const before = await settle(publisher)

    const reports = await abuse(ticket, track)
    const [announcements, greedy, halfOpen, ...others] = reports.toSorted((a, b) => (a.abuse < b.abuse ? -1 : 1))
    assert.deepInclude(announcements, { abuse: "announcements", close: tooMany })
    // these left by themselves
    assert.strictEqual(greedy?.abuse, "greedy")
    assert.isUndefined(greedy?.close)
    assert.isAbove(greedy?.ends["RESET 11"] ?? 0, 100, "refused subscriptions")
    assert.deepInclude(halfOpen, { abuse: "half-open", ends: { "RESET 3": 200 } })
    const [rapid03, rapid05, rubbish] = others
    for (const rapid of [rapid03, rapid05]) assert.deepInclude(rapid, { abuse: "rapid reset", close: tooMany })
    assert.deepInclude(rubbish, { abuse: "rubbish", ends: { "RESET 5": 500 } })

    let after = await settle(publisher)
    assert.isAtMost(after.heap, 1.2 * calm.heap, "bytes on the heap")
    // connections that were closed are forgotten a few round trips later, and pages are given back in the background
    const [{ recorder }] = honest
    for (let rounds = 1; after.resident > 1.2 * before.resident && rounds <= 30; rounds++) {
      await next(recorder, "stdout", /"event":"progress"/) // about a second
      after = await settle(publisher)
    }
    assert.isAtMost(after.resident, 1.2 * before.resident, "resident bytes")

    const source = await unitsOf(sample)
    for (const { copy, recorder } of honest) {
      const { code, stderr, stdout } = await recorder.interrupt()
      assert.strictEqual(code, 0, stderr)
      const done = events(stdout).at(-1)
      assert.strictEqual(done?.["reason"], "interrupted")
      assert.strictEqual(done?.["missing"], 0)
      const units = await unitsOf(copy)
      assert.isAbove(units.video.length, 500)
      assertRuns(units, source)
    }
    assert.strictEqual((await publisher.interrupt()).code, 0)
  })
})
