/** `irl doctor`: what this machine can do, and what to do about what it cannot. */
import { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as SecretKey from "@effect-live/endpoint/SecretKey"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Node from "@effect-live/node/Node"
import { Config, ConfigProvider, Effect, Layer, Option, Redacted, Result } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Failure from "../Failure.ts"
import { Output } from "../Output.ts"
import * as Relay from "../Relay.ts"

type Verdict = "ok" | "note" | "missing"
type Tell = (check: string, verdict: Verdict, detail: string, advice?: string) => Effect.Effect<void>

/** How long the own relay has to answer, in seconds. */
const relayTimeout = "5 seconds"
const neededNodeMajor = 26
const alpn = "effect-live/doctor"

export const doctor = Effect.gen(function* () {
  const output = yield* Output
  let missing = 0
  const tell: Tell = (check, verdict, detail, advice) => {
    if (verdict === "missing") missing++
    const text = `${verdict.padEnd(8)} ${check.padEnd(10)} ${detail}${advice === undefined ? "" : `\n${" ".repeat(20)}${advice}`}`
    return output.event("check", { check, verdict, detail, advice }, text)
  }
  yield* checkNode(tell)
  yield* checkKey(tell)
  yield* checkEndpoint(tell)
  yield* checkFfmpeg(tell)
  yield* output.event("done", { missing })
  if (missing > 0) return yield* Failure.make("Doctor", "something that irl needs is missing, see above")
})

const checkNode = (tell: Tell) => {
  const here = `Node.js ${process.versions.node} on ${process.platform}-${process.arch}`
  return Number.parseInt(process.versions.node, 10) >= neededNodeMajor
    ? tell("node", "ok", here)
    : tell("node", "missing", here, `Start through npm (npm run irl -- …), which brings Node.js ${neededNodeMajor}`)
}

const checkKey = Effect.fnUntraced(function* (tell: Tell) {
  const key = yield* Effect.orDie(Config.option(Config.Redacted("IROH_SECRET")))
  if (Option.isNone(key) || Redacted.value(key.value) === "") {
    const advice = "To keep one: IROH_SECRET=$(openssl rand -hex 32), which is a secret"
    return yield* tell("key", "note", "a fresh one at each start, and so another ticket", advice)
  }
  const parsed = SecretKey.parse(Redacted.value(key.value))
  return yield* Result.isSuccess(parsed)
    ? tell("key", "ok", "from IROH_SECRET: the same id after each start")
    : tell("key", "missing", `IROH_SECRET is ${parsed.failure.message}`, "Make one: openssl rand -hex 32")
})

/** Binds what the environment asks for, looks at it, and lets a second endpoint on this machine dial it. */
const checkEndpoint = (tell: Tell) =>
  Effect.gen(function* () {
    const endpoint = yield* Endpoint
    yield* tellTransport(tell, endpoint)
    const direct = EndpointAddr.ips(endpoint.addr()).map(TransportAddr.format)
    yield* direct.length > 0
      ? tell("ports", "ok", `UDP ${direct.join(", ")}`)
      : tell("ports", "note", "no direct address: only a relay leads here", "Is there a network? See IROH_BIND")

    yield* (yield* Relay.disabled)
      ? tell("relay", "note", "disabled by IROH_RELAY: reachable on this machine and network, and where no firewall is")
      : checkRelay(tell)
    yield* checkDial(tell)
  }).pipe(
    Effect.provide(Node.layerEndpoint),
    Effect.catch((error) =>
      tell(error._tag === "ConfigError" ? "config" : "transport", "missing", Failure.from(error).message)
    )
  )

/** Both backings do; the addon is an order of magnitude faster. */
const tellTransport = Effect.fnUntraced(function* (tell: Tell, { backing, id }: Endpoint["Service"]) {
  const text = `${backing.name} ${backing.version}, endpoint ${id}`
  const wanted = yield* Effect.orDie(Config.withDefault(Config.String("IROH_BACKING"), ""))
  const advice =
    "@effect-live/native, which is many times faster, is not built here: npm run build:native (needs cargo)"
  return yield* backing.name === "@effect-live/native" || wanted === "number0"
    ? tell("transport", "ok", text)
    : tell("transport", "note", text, advice)
})

const checkRelay = Effect.fnUntraced(function* (tell: Tell) {
  const url = yield* Relay.wait(relayTimeout)
  yield* Option.match(url, {
    onSome: (urls) => tell("relay", "ok", urls.join(", ")),
    onNone: () =>
      tell(
        "relay",
        "note",
        `none answered within ${relayTimeout}: reachable on this machine and network only`,
        "Is there internet, and does the firewall let HTTPS out? IROH_RELAY names other relays, or `disabled`"
      )
  })
})

const checkDial = Effect.fnUntraced(function* (tell: Tell) {
  const endpoint = yield* Endpoint
  yield* endpoint.setAlpns([alpn])
  yield* Effect.forkScoped(Effect.andThen(endpoint.accept, Effect.never))
  // A second endpoint with a key of its own: nobody can dial itself.
  const dialed = Effect.gen(function* () {
    const dialer = yield* Endpoint
    const connection = yield* dialer.connect(endpoint.addr(), [alpn])
    return connection.paths().find((path) => path.selected)
  }).pipe(
    Effect.provide(Layer.fresh(Node.layerEndpoint)),
    Effect.provideService(ConfigProvider.ConfigProvider, withoutIdentity)
  )
  yield* dialed.pipe(
    Effect.scoped,
    Effect.matchEffect({
      onSuccess: (path) =>
        tell(
          "dialing",
          "ok",
          path === undefined ? "a second endpoint" : `a second endpoint, ${path.kind}, ${path.rttMs} ms`
        ),
      onFailure: (error) =>
        tell("dialing", "missing", Failure.from(error).message, "Does a firewall drop UDP on this machine?")
    })
  )
}, Effect.scoped)

/** The environment without the key and the fixed port of the first endpoint. */
const withoutIdentity = ConfigProvider.fromEnv({
  env: Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || name === "IROH_SECRET" || name === "IROH_BIND" ? [] : [[name, value]]
    )
  )
})

const checkFfmpeg = Effect.fnUntraced(function* (tell: Tell) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const version = yield* Effect.option(spawner.string(ChildProcess.make("ffmpeg", ["-version"])))
  yield* Option.match(version, {
    onSome: (text) => tell("ffmpeg", "ok", text.slice(0, text.indexOf(" Copyright"))),
    onNone: () => tell("ffmpeg", "note", "not installed", "Only needed to publish cameras and screens through a pipe")
  })
})
