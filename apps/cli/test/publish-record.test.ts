import { createReadStream, existsSync, openSync, writeFileSync } from "node:fs"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { events, folder, irl, publish, run, sample, stopAll } from "./irl.ts"
import { assertDecodes, assertOneShift, assertRuns, assertWhole, unitsOf } from "./units.ts"

const files = folder()
afterAll(() => {
  stopAll()
  files.remove()
})

describe("publish and record", { timeout: 90_000, concurrent: true }, () => {
  for (const extension of ["mp4", "mkv"]) {
    it(`--wait, to .${extension}: all access units, the same bytes, the same order, one shift of time`, async () => {
      const { publisher, ticket } = await publish([sample, "--wait"])
      const copy = files.path(`copy.${extension}`)
      const recorded = await run(["record", ticket, "-o", copy])
      assert.strictEqual(recorded.code, 0, recorded.stderr)
      assert.match(recorded.stderr, /\d+ frames/, "progress on stderr")
      assert.strictEqual(recorded.stdout, "")
      assert.strictEqual((await publisher.ended).code, 0)
      const [source, units] = [await unitsOf(sample), await unitsOf(copy)]
      assertWhole(units, source)
      assertOneShift(units, source)
      assertDecodes(copy)
    })
  }

  it("--duration stops by itself; a late subscriber begins with a key frame and misses nothing from there", async () => {
    const { publisher, ticket } = await publish([sample, "--loop", "--name", "room/ada"])
    const copy = files.path("late.mp4")
    const recorded = await run(["record", ticket, "-o", copy, "--duration", "3s", "--json"])
    assert.strictEqual(recorded.code, 0, recorded.stderr)
    const done = events(recorded.stdout).at(-1)
    assert.strictEqual(done?.event, "done")
    assert.strictEqual(done?.["reason"], "duration")
    assert.strictEqual(done?.["missing"], 0)
    assert.closeTo(Number(done?.["mediaMs"]), 3_000, 100)
    const [source, units] = [await unitsOf(sample), await unitsOf(copy)]
    assert.isTrue(units.video[0]?.key)
    assertRuns(units, source)
    assertDecodes(copy)
    assert.strictEqual((await publisher.interrupt()).code, 0)
  })

  it("the publisher's stdout: the ticket in a line of its own, then a QR code, and with --json one object", async () => {
    const people = irl(["publish", sample])
    const [, ticket] = await people.sees("stdout", /^publishing at (iroh-live:[\w-]+\/hello)\n[▀▄█ ]+\n/)
    assert.isString(ticket)
    const programs = irl(["publish", sample, "--json", "--name", "x"])
    await programs.sees("stdout", /\n/)
    const [first] = events(programs.stdout())
    assert.strictEqual(first?.event, "publishing")
    assert.match(String(first?.["ticket"]), /^iroh-live:[\w-]+\/x$/)
    assert.match(programs.stdout(), /^\{"event":"publishing","ticket":/)
    for (const publisher of [people, programs]) {
      assert.strictEqual((await publisher.interrupt()).code, 0)
    }
  })

  it("info tells what is announced, the catalog and the path; tap every frame", async () => {
    const { publisher, ticket } = await publish([sample, "--loop"])
    const info = await run(["info", ticket, "--json"])
    assert.strictEqual(info.code, 0, info.stderr)
    const [told] = events(info.stdout)
    assert.deepStrictEqual(told?.["announced"], ["hello"])
    assert.include(JSON.stringify(told?.["paths"]), `"kind":"direct"`)
    assert.match(JSON.stringify(told?.["video"]), /"codec":"avc1\.[^"]+","bitrate":\d+,"width":640,"height":360/)
    assert.match(JSON.stringify(told?.["audio"]), /"codec":"opus",.*"sampleRate":48000,"channels":2/)
    assert.include((await run(["info", ticket])).stdout, "announced  hello")

    const tapped = await run(["tap", ticket, "--duration", "2s", "--json"])
    assert.strictEqual(tapped.code, 0, tapped.stderr)
    const frames = events(tapped.stdout).filter(({ event }) => event === "frame")
    assert.isAbove(frames.length, 10)
    let before: (typeof frames)[number] | undefined
    for (const frame of frames) {
      assert.deepStrictEqual(Object.keys(frame), ["event", "track", "group", "index", "bytes", "sha256"])
      assert.match(String(frame["sha256"]), /^[0-9a-f]{64}$/)
      const next = before?.["group"] === frame["group"] ? Number(before?.["index"]) + 1 : 0
      assert.strictEqual(frame["index"], next)
      before = frame
    }

    const catalog = irl(["tap", ticket, "--track", "catalog.json", "--json"])
    await catalog.sees("stdout", /"event":"frame","track":"catalog.json","group":0,"index":0/)
    assert.strictEqual((await catalog.interrupt()).code, 0)
    const missing = await run(["tap", ticket, "--track", "nothing", "--json"])
    assert.strictEqual(missing.code, 1)
    assert.include(missing.stdout, `"reason":"NotFound"`)
    await publisher.interrupt()
  })

  it("a pipe in and a pipe out: what goes in comes out", async () => {
    const matroska = files.path("source.mkv")
    const first = await publish([sample, "--wait"])
    assert.strictEqual((await run(["record", first.ticket, "-o", matroska, "--duration", "4s"])).code, 0)
    first.publisher.kill("SIGINT")

    const piped = irl(["publish", "-", "--wait", "--no-qr"])
    createReadStream(matroska).pipe(piped.child.stdin ?? assert.fail("no stdin"))
    const [, ticket = ""] = await piped.sees("stdout", /^publishing at (.+)$/m)
    const copy = files.path("out.mkv")
    const recorded = await run(["record", ticket, "-o", "-", "--json"], { stdout: openSync(copy, "w") })
    assert.strictEqual(recorded.code, 0, recorded.stderr)
    assert.include(recorded.stderr, `{"event":"done"`, "with -o - the events are on stderr")
    const [source, units] = [await unitsOf(matroska), await unitsOf(copy)]
    assertWhole(units, source)
    assertDecodes(copy)
  })

  it("a reader of stdout that goes away ends each command with 0, and nothing is complained about", async () => {
    const { publisher, ticket } = await publish([sample, "--loop"])
    const commands: ReadonlyArray<readonly [args: ReadonlyArray<string>, told: RegExp]> = [
      [
        ["record", ticket, "-o", "-"],
        /^(recording hello, press Ctrl-C to stop|done \(reader gone\): -|\d+\.\d s  .*)$/
      ],
      [["record", ticket, "-o", "-", "--json"], /^\{"event":"(progress|done)",/],
      [["--json", "record", ticket, "-o=-"], /^\{"event":"(progress|done)",/],
      [["tap", ticket], /^$/],
      [["tap", ticket, "--json"], /^$/]
    ]
    for (const [args, told] of commands) {
      const reader = irl(args)
      reader.child.stdin?.end()
      await reader.sees("stdout", /[^]/)
      reader.child.stdout?.destroy()
      const { code, stderr } = await reader.ended
      assert.strictEqual(code, 0, `${args[0]}: ${stderr}`)
      for (const line of stderr.trimEnd().split("\n")) assert.match(line, told)
    }
    await publisher.interrupt()
  })

  it("stdout that takes no more: exit code 1, and the reason", async () => {
    if (!existsSync("/dev/full")) return console.log("there is no /dev/full here")
    const { publisher, ticket } = await publish([sample, "--loop"])
    const { code, stderr } = await run(["tap", ticket], { stdout: openSync("/dev/full", "w") })
    assert.strictEqual(code, 1)
    assert.match(stderr, /^error: stdout cannot be written \(ENOSPC/)
    await publisher.interrupt()
  })

  it("what cannot be published or recorded is told, with the right exit code", async () => {
    const text = files.path("text.mp4")
    writeFileSync(text, "this is no film")
    const { publisher, ticket } = await publish([sample, "--loop"])
    const cases: ReadonlyArray<readonly [ReadonlyArray<string>, number, RegExp]> = [
      [["publish", text], 1, /is no MP4, Matroska/],
      [["publish", files.path("missing.mp4")], 1, /missing\.mp4: cannot be read \(ENOENT: no such file/],
      [["publish", sample, "--name", "a//b"], 2, /must not begin or end with "\/" or contain "\/\/"/],
      [["record", ticket, "-o", files.path("x.exe")], 2, /extension says no format/],
      [
        ["record", ticket, "-o", "/nonexistent/x.mp4", "--duration", "1s"],
        1,
        /\/nonexistent\/x\.mp4: cannot be written/
      ],
      [["record", ticket, "-o", files.path("x.webm"), "--duration", "1s"], 1, /webm cannot hold video/]
    ]
    for (const [args, code, told] of cases) {
      const { code: got, stderr } = await run(args)
      assert.match(stderr, told)
      assert.strictEqual(got, code, args.join(" "))
      assert.notInclude(stderr, ticket)
    }
    const badKey = await run(["publish", sample], { env: { IROH_SECRET: `${"ab".repeat(31)}zz` } })
    assert.strictEqual(badKey.code, 2)
    assert.match(badKey.stderr, /IROH_SECRET/)
    assert.notInclude(badKey.stderr, "abab")
    await publisher.interrupt()
  })
})

describe("doctor and demo", { timeout: 90_000, concurrent: true }, () => {
  it("doctor: this machine has what is needed", async () => {
    const { code, stderr, stdout } = await run(["doctor", "--json"])
    assert.strictEqual(stderr, "")
    for (const line of stdout.trimEnd().split("\n")) assert.match(line, /^\{"event":"(check|done)",/)
    const checks = events(stdout).filter(({ event }) => event === "check")
    assert.strictEqual(code, 0, stdout)
    for (const name of ["node", "key", "transport", "ports", "relay", "dialing", "ffmpeg"]) {
      assert.isDefined(
        checks.find(({ check }) => check === name),
        name
      )
    }
  })

  it("demo --once: five seconds arrive complete and in order, and it ends by itself", async () => {
    const { code, stderr, stdout } = await run(["demo", "--once"])
    assert.strictEqual(code, 0, stderr)
    assert.match(stdout, /^publishing at iroh-live:/)
    assert.match(stdout, /ok: \d+ frames of 2 tracks arrived, complete and in order/)
  })

  it("demo: Ctrl-C, delivered twice as npm does, ends it with 0 and leaves no process behind", async () => {
    const demo = irl(["demo"])
    await demo.sees("stderr", /\d+ frames/)
    demo.kill("SIGINT")
    demo.kill("SIGINT")
    const { code, stdout } = await demo.ended
    assert.strictEqual(code, 0)
    assert.include(stdout, "npm run irl")
    // `close` came, so whoever held its stderr is gone: the subscriber inherits it.
  })
})
