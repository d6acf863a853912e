import { mkdirSync, readFileSync, statSync } from "node:fs"
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { createSocket } from "node:dgram"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { events, folder, irl, type Irl, publish, run, sample, stopAll } from "./irl.ts"
import { assertDecodes, assertOneTimeline, assertRun, assertRuns, unitsOf } from "./units.ts"

const files = folder()
afterAll(() => {
  stopAll()
  files.remove()
})

/** The file holds a run of the sample, and ffmpeg decodes it. */
const assertPlays = async (path: string): Promise<void> => {
  const [source, units] = [await unitsOf(sample), await unitsOf(path)]
  assert.isAbove(units.video.length, 0)
  assert.isAbove(units.audio.length, 0)
  assertRuns(units, source)
  assertDecodes(path)
}

/** A key and an address that a publisher can come back to. */
const home = async (): Promise<Readonly<Record<string, string>>> => {
  const port = await new Promise<number>((resolve) => {
    const socket = createSocket("udp4").bind(0, "127.0.0.1", () => {
      const { port } = socket.address()
      socket.close(() => resolve(port))
    })
  })
  return { IROH_SECRET: randomBytes(32).toString("hex"), IROH_BIND: `127.0.0.1:${port}` }
}

const secondsSince = (startMs: number): number => (performance.now() - startMs) / 1000

describe("record withstands", { timeout: 120_000, concurrent: true }, () => {
  it("a publisher that is gone: an error that says so and how long it waited, and no file", async () => {
    const { publisher, ticket } = await publish([sample, "--loop"])
    publisher.kill("SIGKILL")
    await publisher.ended
    const copy = files.path("gone.mp4")
    const { code, stdout } = await run(["record", ticket, "-o", copy, "--json"])
    assert.strictEqual(code, 1)
    const error = events(stdout).find(({ event }) => event === "error")
    assert.strictEqual(error?.["kind"], "SubscribeError")
    assert.match(
      String(error?.["message"]),
      /no answer within 6000 ms: the publisher is gone, or no way leads to it|cannot be reached/
    )
    assert.throws(() => statSync(copy))
  })

  it("a broadcast that is not there: the error names what the publisher has", async () => {
    const { publisher, ticket } = await publish([sample, "--loop", "--name", "here"])
    const { code, stderr } = await run(["record", ticket.replace("/here", "/there"), "-o", files.path("x.mp4")])
    assert.strictEqual(code, 1)
    assert.include(stderr, "announces only here")
    await publisher.interrupt()
  })

  it("a publisher that is killed in the middle: dials it again, ends with 1 within 70 seconds, and the file plays", async () => {
    const { publisher, ticket } = await publish([sample, "--loop"])
    const copy = files.path("killed.mp4")
    const recorder = irl(["record", ticket, "-o", copy])
    await recorder.sees("stderr", /^[2-9]\.\d s/m)
    publisher.kill("SIGKILL")
    const startMs = performance.now()
    const { code, stderr } = await recorder.ended
    assert.isBelow(secondsSince(startMs), 70)
    assert.strictEqual(code, 1)
    assert.match(stderr, /connection lost \(.*\), dialing again/)
    assert.match(stderr, /error: the publisher is gone: .*; \d+\.\d s are in .*killed\.mp4; --resume/)
    await assertPlays(copy)
  })

  it("a publisher that is restarted in the middle: ends with 1 and says so, and the file plays", async () => {
    const env = await home()
    const { publisher, ticket } = await publish([sample, "--loop"], { env })
    const copy = files.path("restarted.mp4")
    const recorder = irl(["record", ticket, "-o", copy, "--json"])
    await recorder.sees("stdout", /"mediaMs":[2-9]\d{3},/)
    publisher.kill("SIGKILL")
    await publisher.ended
    const again = await publish([sample, "--loop"], { env })
    const { code, stdout } = await recorder.ended
    await again.publisher.interrupt()
    assert.strictEqual(code, 1)
    const told = events(stdout).filter(({ event }) => event !== "progress")
    assert.deepStrictEqual(
      told.map(({ event }) => event),
      ["reconnecting", "reconnected", "error"]
    )
    assert.strictEqual(told.at(-1)?.["kind"], "Restarted")
    await assertPlays(copy)
  })

  it("a publisher that says goodbye in the middle: ends with 0, and the file plays", async () => {
    const { publisher, ticket } = await publish([sample, "--loop"])
    const copy = files.path("goodbye.mkv")
    const recorder = irl(["record", ticket, "-o", copy])
    await recorder.sees("stderr", /^[2-9]\.\d s/m)
    publisher.kill("SIGINT")
    const { code, stderr } = await recorder.ended
    assert.strictEqual(code, 0, stderr)
    assert.include(stderr, "publisher stopped")
    await assertPlays(copy)
  })

  it("--resume: waits for a killed publisher under the same ticket and goes on in the same file, on one timeline", async () => {
    const env = await home()
    const { publisher, ticket } = await publish([sample, "--loop"], { env })
    const copy = files.path("resumed.mkv")
    const recorder = irl(["record", ticket, "-o", copy, "--resume"])
    await recorder.sees("stderr", /^[2-9]\.\d s/m)
    publisher.kill("SIGKILL")
    await publisher.ended
    const again = await publish([sample, "--loop"], { env })
    assert.strictEqual(again.ticket, ticket)
    await recorder.sees(
      "stderr",
      /the publisher (?:is gone, waiting|was restarted, going on)[^]*recording hello[^]*^(\d+\.\d) s[^]*^(\d+\.\d) s[^]*^(\d+\.\d) s/m
    )
    const { code, stderr } = await recorder.interrupt()
    assert.strictEqual(code, 0, stderr)
    await again.publisher.interrupt()
    const [source, units] = [await unitsOf(sample), await unitsOf(copy)]
    for (const kind of ["video", "audio"] as const) {
      const known = new Set(source[kind].map(({ sha256 }) => sha256))
      assert.isTrue(units[kind].every(({ sha256 }) => known.has(sha256)))
      assertOneTimeline(units[kind], 1_100_000) // up to a group is given up where the two parts meet
    }
    assertDecodes(copy)
  })

  it("Ctrl-C: a file that plays and exit code 0, also when it comes twice", async () => {
    const { publisher, ticket } = await publish([sample, "--loop"])
    for (const name of ["ctrl-c.mp4", "ctrl-c.mkv"]) {
      const copy = files.path(name)
      const recorder = irl(["record", ticket, "-o", copy, "--json"])
      await recorder.sees("stdout", /"mediaMs":[1-9]\d{3},/)
      recorder.kill("SIGINT")
      recorder.kill("SIGINT")
      const { code, stdout } = await recorder.ended
      assert.strictEqual(code, 0)
      const done = events(stdout).at(-1)
      assert.strictEqual(done?.event, "done")
      assert.strictEqual(done?.["reason"], "interrupted")
      await assertPlays(copy)
    }
    await publisher.interrupt()
  })

  it("kill -9: the file up to then plays", async () => {
    const { publisher, ticket } = await publish([sample, "--loop"])
    const copy = files.path("kill-9.mp4")
    const recorder = irl(["record", ticket, "-o", copy])
    await recorder.sees("stderr", /^[3-9]\.\d s/m)
    recorder.kill("SIGKILL")
    await recorder.ended
    await assertPlays(copy)
    await publisher.interrupt()
  })

  it("a file that may not grow further: exit code 1, a typed error, and what is on disk plays", async () => {
    const { publisher, ticket } = await publish([sample, "--loop"])
    const copy = files.path("limited.mkv")
    // In blocks of 512 or 1,024 bytes, as the shell has it.
    const { code, stdout } = await run(["record", ticket, "-o", copy, "--json"], {
      shell: `ulimit -f 200; exec "$@"`
    })
    assert.strictEqual(code, 1)
    const error = events(stdout).find(({ event }) => event === "error")
    assert.strictEqual(error?.["kind"], "RecordError")
    assert.strictEqual(error?.["reason"], "FileTooLarge")
    assert.include(
      String(error?.["message"]),
      `${copy}: the file may not grow further; what was written is playable. See`
    )
    const [source, units] = [await unitsOf(sample), await unitsOf(copy)]
    assert.isAbove(units.video.length, 20)
    assertRun("video", units.video, source.video)
    await publisher.interrupt()
  })

  it("a disk that is full: exit code 1, DiskFull, and what is on disk plays", async () => {
    const disk = files.path("disk")
    mkdirSync(disk)
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=160k", "tmpfs", disk]).status === 0
    if (!mounted)
      console.log("no right to mount a small disk: /dev/full stands in for it, so nothing can be played back")
    const { publisher, ticket } = await publish([sample, "--loop"])
    const copy = mounted ? `${disk}/copy.mkv` : "/dev/full.mkv"
    try {
      const shell = mounted ? `exec "$@"` : `exec "$@" >/dev/full`
      const args = mounted ? ["-o", copy] : ["-o", "-"]
      const { code, stderr, stdout } = await run(["record", ticket, ...args, "--json"], { shell })
      assert.strictEqual(code, 1)
      const error = events(mounted ? stdout : stderr).find(({ event }) => event === "error")
      assert.strictEqual(error?.["reason"], "DiskFull")
      if (mounted) {
        const [source, units] = [await unitsOf(sample), await unitsOf(copy)]
        assert.isAbove(units.video.length, 20)
        assertRun("video", units.video, source.video)
      }
    } finally {
      if (mounted) spawnSync("umount", [disk])
    }
    await publisher.interrupt()
  })
})

/** Resident memory in MiB; undefined where the system does not tell in /proc. */
const residentMiB = ({ pid }: Irl): number | undefined => {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024
  } catch {
    return undefined
  }
}

describe("publish withstands", { timeout: 120_000 }, () => {
  it("subscribers that stall or are killed: flat memory, and nobody else is disturbed", async () => {
    // A small young generation: what the process takes is what it holds, not what it has not collected yet.
    const { publisher, ticket } = await publish([sample, "--loop"], { nodeFlags: ["--max-semi-space-size=1"] })
    const stalled = irl(["record", ticket, "-o", "-"])
    stalled.child.stdout?.pause()
    const stopped = irl(["record", ticket, "-o", files.path("stopped.mkv")])
    const killed = irl(["record", ticket, "-o", files.path("killed-viewer.mkv")])
    await Promise.all([stopped.sees("stderr", /^[1-9]\.\d s/m), killed.sees("stderr", /^[1-9]\.\d s/m)])
    stopped.kill("SIGSTOP")
    killed.kill("SIGKILL")
    const watch = async (name: string, duration: string) => {
      const copy = files.path(name)
      const viewer = await run(["record", ticket, "-o", copy, "--duration", duration, "--json"])
      assert.strictEqual(viewer.code, 0)
      assert.strictEqual(events(viewer.stdout).at(-1)?.["missing"], 0)
      await assertPlays(copy)
    }
    await watch("first.mp4", "5s")
    const beforeMiB = residentMiB(publisher)
    await watch("second.mkv", "15s")
    const afterMiB = residentMiB(publisher)
    if (beforeMiB === undefined || afterMiB === undefined) console.log("no /proc here: memory was not looked at")
    else assert.isBelow(afterMiB - beforeMiB, 25, "MiB more after fifteen seconds")
    stopped.kill("SIGKILL")
    stalled.kill("SIGKILL")
    assert.strictEqual((await publisher.interrupt()).code, 0)
  })
})
