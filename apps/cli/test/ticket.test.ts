import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as LiveTicket from "@effect-live/live/LiveTicket"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { events, run, stopAll } from "./irl.ts"

const id = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
const good = "iroh-live:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1wBAQB_AAABgAg/my-stream"
const token = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1wBAQB_AAABgAg"

afterAll(stopAll)

describe("irl ticket", { timeout: 60_000 }, () => {
  it("makes a ticket and explains it", async () => {
    const made = await run(["ticket", "--id", id, "--addr", "127.0.0.1:1024", "--name", "my-stream"])
    assert.strictEqual(made.code, 0)
    assert.strictEqual(made.stdout, `${good}\n`)
    const told = await run(["ticket", good])
    assert.strictEqual(told.code, 0)
    for (const fact of [id, "127.0.0.1:1024", "my-stream"]) assert.include(told.stdout, fact)
  })

  it("--json: one object, the event first", async () => {
    const { code, stdout } = await run(["ticket", good, "--json"])
    assert.strictEqual(code, 0)
    assert.match(stdout, /^\{"event":"ticket",/)
    assert.deepStrictEqual(events(stdout), [
      { event: "ticket", id, name: "my-stream", direct: ["127.0.0.1:1024"], relays: [], custom: [] }
    ])
    const made = await run(["ticket", "--id", id, "--addr", "127.0.0.1:1024", "--name", "my-stream", "--json"])
    assert.strictEqual(made.stdout, `{"event":"ticket","ticket":"${good}"}\n`)
  })

  const wrong: ReadonlyArray<readonly [what: string, ticket: string, told: RegExp]> = [
    ["a broadcast name alone", "my-stream", /must begin with "iroh-live:"/],
    ["the empty text", "", /must begin with "iroh-live:"/],
    ["a cut ticket", good.slice(0, 30), /at character 30: expected "\/" and the name of the broadcast/],
    ["a ticket whose middle is missing", good.slice(0, 30) + good.slice(-10), /character \d+/],
    ["a ticket of another program", `blob${token}`, /must begin with "iroh-live:"/],
    ["a web address", "https://example.com/watch", /character \d+/],
    ["a hostile count of addresses", "iroh-live:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1z_____Dw/x", /character \d+/],
    ["a character that does not belong there", good.replace("8ZX", "8*X"), /character \d+/],
    ["a hundred thousand characters", `iroh-live:${"B".repeat(100_000)}/x`, /character \d+/]
  ]
  for (const [what, ticket, told] of wrong) {
    it(`refuses ${what}: says what is wrong and where, exit code 2, ticket not shown`, async () => {
      const { code, stderr, stdout } = await run(["ticket", ticket])
      assert.strictEqual(code, 2)
      assert.strictEqual(stdout, "")
      assert.match(stderr, told)
      if (ticket.length > 40) assert.notInclude(stderr, ticket.slice(12, 40))
    })
  }

  it("record, info and tap refuse them too, before they touch the network or the file", async () => {
    for (const args of [["record", "-o", "/nonexistent/x.mp4"], ["info"], ["tap"]]) {
      const { code, stderr } = await run([...args, good.slice(0, 30)])
      assert.strictEqual(code, 2, args[0])
      assert.match(stderr, /character 30/)
    }
  })

  it("refuses what no ticket can be made of", async () => {
    const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, kind: string, told: RegExp]> = [
      [["--id", "12ab", "--name", "x"], "IdError", /--id: not an endpoint id: expected .*`irl ticket TICKET`/],
      [["--id", "", "--name", "x"], "IdError", /--id: not an endpoint id/],
      [["--id", id, "--name", "a//b"], "NameError", /--name: a broadcast name must not begin .*; try hello/],
      [["--id", id, "--name", ""], "NameError", /--name: a broadcast name must not be empty; try hello/],
      [["--id", id, "--name", "x", "--addr", "localhost:80"], "AddrError", /--addr localhost:80: give IP:PORT such as/],
      [["--id", id, "--name", "x", "--addr", "127.0.0.1"], "AddrError", /--addr 127\.0\.0\.1: give IP:PORT such as/],
      [["--id", id, "--name", "x", "--addr", "127.0.0.1:99999"], "AddrError", /--addr .*: give IP:PORT such as/],
      [["--id", id, "--name", "x", "--addr", "https://"], "AddrError", /--addr .*a relay such as https:/],
      [["--id", id, "--name", "x", "--addr", "ftp://example.com"], "AddrError", /--addr .*a relay such as https:/],
      [["--id", id], "Usage", /--id and --name/],
      [["--addr", "127.0.0.1:1"], "Usage", /--id and --name/],
      [[good, "--name", "x"], "Usage", /not both/]
    ]
    for (const [args, kind, told] of cases) {
      const [text, json] = await Promise.all([run(["ticket", ...args]), run(["ticket", ...args, "--json"])])
      assert.strictEqual(text.code, 2)
      assert.strictEqual(text.stdout, "")
      assert.match(text.stderr, told)
      assert.strictEqual(json.code, 2)
      assert.strictEqual(json.stderr, "")
      assert.match(json.stdout, /^\{"event":"error",[^\n]*\}\n$/)
      const [error] = events(json.stdout)
      assert.strictEqual(error?.["kind"], kind)
      assert.match(String(error?.["message"]), told)
    }
  })

  it("every address of a ticket survives", async () => {
    const ways = ["192.0.2.7:4433", "[2001:db8::1]:443", "https://relay.example.com/"]
    const { stdout } = await run(["ticket", "--id", id, "--name", "a/b", ...ways.flatMap((way) => ["--addr", way])])
    const { addr, name } = Result.getOrThrow(LiveTicket.parse(stdout))
    assert.strictEqual(name, "a/b")
    assert.strictEqual(addr.id, Result.getOrThrow(EndpointId.parse(id)))
    assert.sameMembers(addr.addrs.map(TransportAddr.format), ways)
    assert.lengthOf(EndpointAddr.relays(addr), 1)
  })
})

describe("usage", { timeout: 60_000 }, () => {
  it("every command has help with examples", async () => {
    for (const command of ["publish", "record", "info", "tap", "ticket", "doctor", "demo"]) {
      const { code, stdout } = await run([command, "--help"])
      assert.strictEqual(code, 0, command)
      assert.include(stdout, "EXAMPLES", command)
      assert.include(stdout, `irl ${command}`, command)
    }
  })

  it("a wrong command line is told on stderr with exit code 2, and stdout stays empty", async () => {
    for (const args of [
      ["nope"],
      ["record"],
      ["record", good],
      ["tap", good, "--duration", "soon"],
      ["publish", "x", "--nope"]
    ]) {
      const { code, stderr, stdout } = await run(args)
      assert.strictEqual(code, 2, args.join(" "))
      assert.strictEqual(stdout, "")
      assert.match(stderr, /^error: /)
      assert.include(stderr, "--help")
    }
  })

  it("never quotes a ticket that stands in the wrong place", async () => {
    const { code, stderr } = await run(["info", good, good])
    assert.strictEqual(code, 2)
    assert.notInclude(stderr, token)
  })

  it("--json: a wrong command line is an error event", async () => {
    for (const args of [
      ["record", "--json"],
      ["--json", "record"],
      ["record", "--json=true"]
    ]) {
      const { code, stdout } = await run(args)
      assert.strictEqual(code, 2)
      const [error] = events(stdout)
      assert.strictEqual(error?.event, "error")
      assert.strictEqual(error?.["kind"], "Usage")
    }
  })
})
