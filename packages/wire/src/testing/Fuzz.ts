/**
 * Hostile bytes for decoders. A package lists its decoders as `fuzzTargets` in `test/fuzz.ts`; `run` feeds them random and mutated
 * inputs, reproducible from one seed. A decoder is sound when every input gives a value or a typed error: no throw, no hang, no
 * more memory than its input and limits allow.
 */
import { Result } from "effect"
import * as Hex from "../Hex.ts"

export interface Target {
  readonly name: string
  /**
   * Decodes one input and throws nothing. The answer counts as a success unless it is a failed `Result`; what a target returns is
   * otherwise its own business. A target may check its own laws (what decodes, encodes and decodes to the same) and throws when one
   * is broken.
   */
  readonly decode: (bytes: Uint8Array) => unknown
  /** Valid inputs to begin with; without some, random bytes rarely get past the first field. */
  readonly seeds: ReadonlyArray<Uint8Array>
  /** The most that a result may weigh (`weigh`) for an input of so many bytes; `defaultMaxWeight` without. */
  readonly maxWeight?: (inputBytes: number) => number
}

/** What a sound decoder may keep: a small object per byte of input, and some to begin with. */
export const defaultMaxWeight = (inputBytes: number): number => 4_096 + 128 * inputBytes

/** A target broke: by what, on which input. */
export interface Failure {
  readonly target: string
  /** Which input of which seed, or which kept one. */
  readonly where: string
  readonly input: Uint8Array
  readonly cause: unknown
}

export interface Report {
  readonly inputs: number
  /** How many inputs decoded. */
  readonly accepted: number
  readonly failures: ReadonlyArray<Failure>
}

export interface Options {
  readonly count: number
  readonly seed: number
  /** Called before every input with its number, so that whoever watches from outside knows on which one a decoder hangs. */
  readonly progress?: (index: number) => void
}

/** Longest random input, in bytes; mutations may double it. */
export const maxInputBytes = 512
/** The run ends after so many failures. */
export const maxFailures = 10

/** The inputs of a seed, without end: the targets take turns. */
export function* inputs(targets: ReadonlyArray<Target>, seed: number): Iterable<readonly [Target, Uint8Array]> {
  const random = generator(seed)
  if (targets.length === 0) throw new RangeError("no targets")
  for (;;) {
    for (const target of targets) yield [target, nextInput(random, target.seeds)]
  }
}

/** Input number `index` of a seed, and whose it is: to see again what `run` reported. */
export const inputAt = (targets: ReadonlyArray<Target>, seed: number, index: number): readonly [Target, Uint8Array] => {
  let number = 0
  for (const next of inputs(targets, seed)) if (number++ === index) return next
  throw new RangeError("no such input")
}

/** Feeds `count` inputs to the targets in turn. */
export const run = (targets: ReadonlyArray<Target>, { count, progress, seed }: Options): Report => {
  const failures: Array<Failure> = []
  let accepted = 0
  let index = 0
  for (const [target, input] of inputs(targets, seed)) {
    if (index >= count || failures.length >= maxFailures) break
    progress?.(index)
    const outcome = attempt(target, input)
    if (outcome._tag === "Broken")
      failures.push(failure(target, `input ${index} of seed ${seed}`, input, outcome.cause))
    else if (outcome.accepted) accepted++
    index++
  }
  return { inputs: index, accepted, failures }
}

/** Feeds kept inputs to the target that each is named for, or to all where it names none. */
export const replay = (targets: ReadonlyArray<Target>, corpus: ReadonlyArray<CorpusEntry>): Report => {
  const failures: Array<Failure> = []
  let accepted = 0
  let inputs = 0
  for (const entry of corpus) {
    const input = Result.getOrThrow(Hex.decode(entry.hex))
    const named = targets.filter(({ name }) => entry.target === undefined || entry.target === name)
    if (named.length === 0 && entry.target !== undefined) throw new RangeError(`no decoder is called ${entry.target}`)
    for (const target of named) {
      const outcome = attempt(target, input)
      if (outcome._tag === "Broken")
        failures.push(failure(target, `the kept input "${entry.what}"`, input, outcome.cause))
      else if (outcome.accepted) accepted++
      inputs++
    }
  }
  return { inputs, accepted, failures }
}

/** One line of `test/corpus/*.json`. */
export interface CorpusEntry {
  readonly what: string
  readonly hex: string
  /** Only for this target; for all without. */
  readonly target?: string
}

/**
 * The whole test of a package: its corpus, then `count` seeded inputs. Throws with the seed, the input in hex and the cause of
 * every failure.
 */
export const assertSound = (
  targets: ReadonlyArray<Target>,
  corpus: ReadonlyArray<CorpusEntry>,
  { count = 200_000, progress, seed = 1 }: Partial<Options> = {}
): Report => {
  const report = run(targets, { count, seed, ...(progress === undefined ? {} : { progress }) })
  const failures = [...replay(targets, corpus).failures, ...report.failures]
  if (failures.length > 0) throw new Error(format(failures))
  return report
}

/** One line per failure, with all that is needed to see it again. */
export const format = (failures: ReadonlyArray<Failure>): string =>
  failures
    .map(({ cause, input, target, where }) => {
      const why = cause instanceof Error ? cause.stack : String(cause)
      return `${target} broke on ${where}: ${why}\n  hex ${Hex.encode(input)}`
    })
    .join("\n")

/** Roughly the bytes that a value holds: text, byte arrays with their own memory, and 16 for each part. */
export const weigh = (value: unknown, input: Uint8Array): number => {
  const seen = new Set<object>()
  const todo: Array<unknown> = [value]
  let weight = 0
  for (let part = todo.pop(); part !== undefined || todo.length > 0; part = todo.pop()) {
    weight += 16
    if (typeof part === "string") weight += 2 * part.length
    if (typeof part !== "object" || part === null || seen.has(part)) continue
    seen.add(part)
    if (ArrayBuffer.isView(part)) weight += part.buffer === input.buffer ? 0 : part.byteLength
    else if (part instanceof Map || part instanceof Set) todo.push(...part)
    else todo.push(...Object.values(part))
  }
  return weight
}

type Outcome =
  | { readonly _tag: "Answered"; readonly accepted: boolean }
  | { readonly _tag: "Broken"; readonly cause: unknown }

const attempt = (target: Target, input: Uint8Array): Outcome => {
  try {
    const answer = target.decode(input)
    if (Result.isResult(answer) && Result.isFailure(answer)) return { _tag: "Answered", accepted: false }
    const weight = weigh(answer, input)
    const most = (target.maxWeight ?? defaultMaxWeight)(input.length)
    if (weight > most)
      return broken(`${input.length} bytes became a value of ${weight} bytes, at most ${most} are sound`)
    return { _tag: "Answered", accepted: true }
  } catch (cause) {
    return { _tag: "Broken", cause }
  }
}

const failure = (target: Target, where: string, input: Uint8Array, cause: unknown): Failure => ({
  target: target.name,
  where,
  input,
  cause
})

const broken = (problem: string): Outcome => ({ _tag: "Broken", cause: new Error(problem) })

/** An integer from 0 to below `bound`, from a 32-bit xorshift: small, fast, the same everywhere. */
type Random = (bound: number) => number

const generator = (seed: number): Random => {
  let state = (seed ^ 0x9e37_79b9) | 0 || 1
  return (bound) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % bound
  }
}

/** Mostly mutated seeds, sometimes noise. */
const nextInput = (random: Random, seeds: ReadonlyArray<Uint8Array>): Uint8Array => {
  const seed = seeds[random(Math.max(1, seeds.length))]
  if (seed === undefined || random(8) === 0) return noise(random)
  let input: Uint8Array = seed.slice()
  for (let times = 1 + random(4); times > 0; times--) input = mutate(random, input, seeds)
  return input
}

const noise = (random: Random): Uint8Array => {
  const length = random(2) === 0 ? random(16) : random(maxInputBytes)
  return Uint8Array.from({ length }, () => random(256))
}

/** Bytes at the edges of varints, lengths, tags and UTF-8. */
const edges = [0x00, 0x01, 0x02, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xbf, 0xc0, 0xed, 0xef, 0xf4, 0xfe, 0xff]

const mutate = (random: Random, input: Uint8Array, seeds: ReadonlyArray<Uint8Array>): Uint8Array => {
  const at = random(input.length + 1)
  switch (random(7)) {
    case 0: // flip a bit
      if (at < input.length) input[at] = (input[at] ?? 0) ^ (1 << random(8))
      return input
    case 1: // an edge byte
      if (at < input.length) input[at] = edges[random(edges.length)] ?? 0
      return input
    case 2: // cut the end
      return input.slice(0, at)
    case 3: // drop some bytes
      return splice(input, at, random(8), new Uint8Array(0))
    case 4: // insert edge bytes
      return splice(
        input,
        at,
        0,
        Uint8Array.from({ length: 1 + random(10) }, () => edges[random(edges.length)] ?? 0)
      )
    case 5: // repeat a part
      return splice(input, at, 0, input.slice(at, at + random(32)))
    default: {
      // go on as another seed
      const other = seeds[random(seeds.length)] ?? input
      return splice(input, at, input.length, other.slice(random(other.length + 1)))
    }
  }
}

/** Never longer than twice the longest random input, so that repeats cannot pile up. */
const splice = (input: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array => {
  const whole = new Uint8Array([...input.subarray(0, at), ...insert, ...input.subarray(at + remove)])
  return whole.subarray(0, Math.max(input.length, 2 * maxInputBytes))
}
