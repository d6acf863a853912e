"use strict"
/**
 * The JavaScript half: finds the binary, and calls back whoever waits for a token. `index.d.cts` is the contract.
 */
const { existsSync } = require("node:fs")
const path = require("node:path")

// ---- finding the binary

const platform = require("./platform.cjs")
const built = path.join(__dirname, `effect_live_native.${platform}.node`)
const prebuilt = `@effect-live/native-${platform}`

/** As in `lib.rs`: which binaries go with this file. */
const abi = 1

/** The first of these that is there; one that is there and does not load is an error, not a reason to go on. */
const find = () => {
  const given = process.env.EFFECT_LIVE_NATIVE
  if (given !== undefined && given !== "") return path.resolve(given)
  if (existsSync(built)) return built
  try {
    return require.resolve(prebuilt)
  } catch (error) {
    if (error.code === "MODULE_NOT_FOUND") return undefined
    throw error
  }
}

const missing = (what, cause) => {
  const error = new Error(
    `${what}. Build it on this machine with "npm run build:native" (needs cargo, see https://rustup.rs), ` +
      "or use the endpoint on @number0/iroh instead",
    { cause }
  )
  error.code = "EFFECT_LIVE_NATIVE_MISSING"
  return error
}

const load = () => {
  const file = find()
  if (file === undefined) {
    throw missing(
      `There is no native endpoint for ${platform}: EFFECT_LIVE_NATIVE is not set, ${built} does not exist, ` +
        `and the package ${prebuilt} is not installed`
    )
  }
  let native
  try {
    native = require(file)
  } catch (error) {
    throw missing(`The native endpoint ${file} does not load: ${error.message}`, error)
  }
  if (native.abi?.() !== abi) throw missing(`The native endpoint ${file} was built from other sources than these`)
  return { file, native }
}

const { file, native } = load()

// ---- waiting

/** Who waits for a token. Those of `wait` keep the process alive, those of `watch` do not. */
const waiting = new Map()
let holding = 0
// A timer rather than the native callback: that one must never keep the process alive by itself.
const hold = setInterval(() => {}, 2 ** 30)
hold.unref()

const add = (token, callback, holds) => {
  if (typeof token !== "number") throw new TypeError("the token must be a number")
  if (typeof callback !== "function") throw new TypeError("the callback must be a function")
  if (waiting.has(token)) throw new Error(`somebody waits for token ${token} already: one waiter at a time`)
  waiting.set(token, { callback, holds })
  if (holds && holding++ === 0) hold.ref()
}

const remove = (token) => {
  const waiter = waiting.get(token)
  if (waiter === undefined) return undefined
  waiting.delete(token)
  if (waiter.holds && --holding === 0) hold.unref()
  return waiter.callback
}

const ready = new Float64Array(1024)
const wakeUp = () => {
  const taken = reactor.takeReady(ready)
  for (let i = 0; i < taken; i++) {
    const callback = remove(ready[i])
    if (callback === undefined) continue
    try {
      callback()
    } catch (error) {
      // Theirs to see, as from any other callback; the rest must still be called.
      process.nextTick(() => {
        throw error
      })
    }
  }
  // There may be more. Whoever else waits for the event loop has its turn first: there may always be more.
  if (taken === ready.length) setImmediate(wakeUp)
}
const reactor = new native.Reactor(wakeUp)

exports.BLOCKED = -1
exports.OVER = -2
exports.END = -3
exports.TOO_LARGE = -4
exports.Token = {
  Pending: { done: 0 },
  Endpoint: { accept: 0, addr: 1, relays: 2, closed: 3 },
  Connection: {
    acceptUni: 0,
    acceptBi: 1,
    openUni: 2,
    openBi: 3,
    datagramReceived: 4,
    datagramRoom: 5,
    closed: 6,
    paths: 7
  },
  SendStream: { writable: 0, settled: 1 },
  RecvStream: { readable: 0 }
}
exports.wait = (token, callback) => add(token, callback, true)
exports.watch = (token, callback) => add(token, callback, false)
exports.forget = (token) => {
  remove(token)
}
exports.versions = native.versions()
exports.binary = file
exports.bind = (options = {}) => reactor.bind(options)
