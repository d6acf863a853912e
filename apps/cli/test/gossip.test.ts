import { afterAll, assert, describe, it } from "@effect/vitest"
import { events, type Irl, irl, run, stopAll } from "./irl.ts"

afterAll(stopAll)

const topic = "5e".repeat(32)

interface Member {
  readonly irl: Irl
  readonly id: string
  readonly topic: string
  /** What others give to `--bootstrap`. */
  readonly bootstrap: string
  readonly say: (line: string) => void
  readonly hears: (event: string, pattern?: string) => Promise<unknown>
}

/** Somebody in a topic who speaks and hears JSON. */
const member = async (args: ReadonlyArray<string>): Promise<Member> => {
  const process = irl(["gossip", ...args, "--json"])
  await process.sees("stdout", /"event":"ready".*\n/)
  const [ready] = events(process.stdout())
  if (ready === undefined) return assert.fail("no ready")
  const [addr] = ready["addrs"] as ReadonlyArray<string>
  const id = String(ready["id"])
  return {
    irl: process,
    id,
    topic: String(ready["topic"]),
    bootstrap: `${id}@${addr}`,
    say: (line) => process.child.stdin?.write(`${line}\n`),
    hears: (event, pattern = "") => process.sees("stdout", new RegExp(`"event":"${event}"[^\\n]*${pattern}[^\\n]*\\n`))
  }
}

const leave = async ({ irl }: Member) => {
  const { code, stderr, stdout } = await irl.interrupt()
  assert.strictEqual(code, 0, stderr)
  assert.strictEqual(stderr, "")
  return events(stdout)
}

describe("irl gossip", { timeout: 90_000, concurrent: true }, () => {
  it("three who know only the first one hear each other, and hear who leaves", async () => {
    const ada = await member([topic])
    const bob = await member([topic, "--bootstrap", ada.bootstrap])
    const eve = await member([topic, "--bootstrap", ada.bootstrap])
    await Promise.all([
      bob.hears("neighborUp", ada.id),
      eve.hears("neighborUp", ada.id),
      ada.hears("neighborUp", eve.id)
    ])
    for (const [from, ...others] of [
      [ada, bob, eve],
      [bob, ada, eve],
      [eve, ada, bob]
    ] as const) {
      from.say(`I am ${from.id}`)
      await Promise.all(others.map((other) => other.hears("received", `"text":"I am ${from.id}"`)))
    }
    const toldByEve = await leave(eve)
    await ada.hears("neighborDown", `"id":"${eve.id}","reason":"left"`)
    assert.deepInclude(toldByEve.at(-1), { event: "done", reason: "interrupted", sent: 1, notSent: 0, received: 2 })
    ada.say("the two of us")
    await bob.hears("received", `"from":"${ada.id}","scope":"swarm","round":0,"text":"the two of us"`)
    await Promise.all([leave(ada), leave(bob)])
  })

  it("people copy a command from one terminal to the other and chat", async () => {
    const ada = irl(["gossip"])
    const [, command = ""] = await ada.sees("stdout", /^others join with: irl (gossip [0-9a-f]{64} --bootstrap .+)$/m)
    const bob = irl(command.split(" "))
    await Promise.all([ada.sees("stdout", /^neighbor up {4}[0-9a-f]{10}$/m), bob.sees("stdout", /^neighbor up/m)])
    bob.child.stdin?.write("hello \u001b[31m there\n")
    await ada.sees("stdout", /^from [0-9a-f]{10}: hello �\[31m there$/m)
    ada.child.stdin?.write("schön, dich zu sehen\r\n")
    await bob.sees("stdout", /^from [0-9a-f]{10}: schön, dich zu sehen$/m)
    assert.strictEqual((await bob.interrupt()).code, 0)
    await ada.sees("stdout", /^neighbor down {2}[0-9a-f]{10} \(left\)$/m)
    assert.strictEqual((await ada.interrupt()).code, 0)
  })

  it("a pipe: lines wait for the first neighbor, --until-eof ends behind the last one", async () => {
    const ada = await member([])
    const bob = irl(["gossip", ada.topic, "--bootstrap", ada.bootstrap, "--until-eof"])
    const lines = Array.from({ length: 200 }, (_, index) => `line ${index}`)
    bob.child.stdin?.end(lines.join("\n"))
    const { code, stderr } = await bob.ended
    assert.strictEqual(code, 0, stderr)
    await ada.hears("neighborDown")
    const heard = events(ada.irl.stdout()).flatMap(({ event, text }) => (event === "received" ? [text] : []))
    assert.sameMembers(heard, lines)
    await leave(ada)
  })

  it("--until-eof with a bootstrap that never answers does not wait for ever", async () => {
    const id = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
    const alone = irl(["gossip", topic, "--bootstrap", `${id}@127.0.0.1:9`, "--until-eof", "--json"])
    alone.child.stdin?.end("anybody?\n")
    const { code, stdout } = await alone.ended
    assert.strictEqual(code, 1)
    const error = events(stdout).find(({ event }) => event === "error")
    assert.strictEqual(error?.["kind"], "NoNeighbors")
    assert.match(String(error?.["message"]), /^nobody answered within 20 seconds, and nothing was sent; /)
  })

  it("prints no bidi controls, U+2028 or other invisible characters of others, but emoji that are joined", async () => {
    const ada = irl(["gossip"])
    const [, command = ""] = await ada.sees("stdout", /^others join with: irl (gossip [0-9a-f]{64} --bootstrap .+)$/m)
    const bob = irl([...command.split(" "), "--until-eof"])
    bob.child.stdin?.end("a\u{202e}b\u{2066}c\u{2028}d\u{2029}e\u{feff}f \u{1f469}\u{200d}\u{1f4bb}\tg\n")
    await ada.sees("stdout", /: a�b�c�d�e�f \u{1f469}\u{200d}\u{1f4bb}\tg$/mu)
    assert.strictEqual((await bob.ended).code, 0)
    assert.strictEqual((await ada.interrupt()).code, 0)
  })

  it("goes on listening when stdin ends", async () => {
    const ada = await member([])
    ada.irl.child.stdin?.end()
    // several ways of one peer belong together
    const bob = await member([ada.topic, "--bootstrap", ada.bootstrap, "--bootstrap", `${ada.id}@127.0.0.1:9`])
    await bob.hears("neighborUp")
    bob.say("still there?")
    await ada.hears("received", "still there")
    bob.irl.child.stdin?.write(Uint8Array.of(0xff, 0x41, 0x0a))
    await ada.hears("received", `"text":"\u{fffd}A","hex":"ff41"`)
    bob.say("still there?")
    await bob.hears("notSent", `"reason":"Known","bytes":12`)
    await Promise.all([leave(ada), leave(bob)])
  })

  it("what cannot be sent is told and ends nothing", async () => {
    const ada = await member([])
    ada.say("anybody?")
    await ada.hears("notSent", `"reason":"NoNeighbors","bytes":8`)
    const bob = await member([ada.topic, "--bootstrap", ada.bootstrap])
    await Promise.all([ada.hears("neighborUp"), bob.hears("neighborUp")])
    bob.say("x".repeat(4_058))
    await bob.hears("notSent", `"reason":"TooLarge","bytes":4058,"maxBytes":4057`)
    bob.say("y".repeat(4_057))
    await ada.hears("received", "y{4057}")
    await Promise.all([leave(ada), leave(bob)])

    const alone = irl(["gossip"])
    await alone.sees("stderr", /press Ctrl-C/)
    alone.child.stdin?.write(`hm\n${"z".repeat(5_000)}\n`)
    await alone.sees("stderr", /^not sent: nobody else is here$/m)
    await alone.sees("stderr", /^not sent: the line has 5000 bytes, 4057 are the most$/m)
    assert.strictEqual((await alone.interrupt()).code, 0)
  })

  it("a reader that is too slow loses messages and is told how many, and nothing piles up", async () => {
    const ada = await member([])
    ada.irl.child.stdout?.pause()
    const bob = irl(["gossip", ada.topic, "--bootstrap", ada.bootstrap, "--until-eof"])
    const lines = 4_000
    bob.child.stdin?.end(Array.from({ length: lines }, (_, index) => `${"x".repeat(500)} ${index}\n`).join(""))
    assert.strictEqual((await bob.ended).code, 0)
    ada.irl.child.stdout?.resume()
    await ada.hears("neighborDown")
    const told = events(ada.irl.stdout())
    const lost = told.reduce((sum, { count, event }) => sum + (event === "lagged" ? Number(count) : 0), 0)
    assert.isAbove(lost, 0)
    assert.strictEqual(lost + told.filter(({ event }) => event === "received").length, lines)
    await leave(ada)
  })

  it("what is no topic and no peer is misuse, and is told without the topic", async () => {
    const id = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
    const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, kind: string, told: RegExp]> = [
      [[topic.slice(1)], "TopicIdError", /^TOPIC: a topic is named by 64 lower-case hex digits/],
      [[topic.toUpperCase()], "TopicIdError", /^TOPIC: a topic is named by 64 lower-case hex digits/],
      [[topic, "--bootstrap", "12ab@127.0.0.1:1"], "IdError", /^--bootstrap: not an endpoint id/],
      [[topic, "--bootstrap", `${id}@localhost:1`], "AddrError", /^--bootstrap ID@.*: give IP:PORT such as/],
      [[topic, "--bootstrap", `${id}@`], "AddrError", /^--bootstrap ID@.*: give IP:PORT such as/],
      [[topic, topic], "Usage", /./]
    ]
    for (const [args, kind, told] of cases) {
      const { code, stdout } = await run(["gossip", ...args, "--json"])
      assert.strictEqual(code, 2, args.join(" "))
      assert.notInclude(stdout.toLowerCase(), topic.slice(1))
      const [error] = events(stdout)
      assert.strictEqual(error?.["kind"], kind)
      assert.match(String(error?.["message"]), told)
    }
    const { code, stderr, stdout } = await run(["gossip", topic.slice(1)])
    assert.strictEqual(code, 2)
    assert.strictEqual(stdout, "")
    assert.match(stderr, /^error: TOPIC: a topic is named by/)
    assert.notInclude(stderr, topic.slice(1))
  })

  it("has help with examples", async () => {
    const { code, stdout } = await run(["gossip", "--help"])
    assert.strictEqual(code, 0)
    for (const part of ["EXAMPLES", "irl gossip TOPIC --bootstrap", "--until-eof", "Ctrl-C"])
      assert.include(stdout, part)
  })
})
