/**
 * Feeds hostile bytes to every decoder of every package: `npm run fuzz -- [count] [seed]`, 10 million inputs by default. The
 * decoders run in a worker, so that one that hangs is seen: no input takes longer than `maxInputMs`. A failure is printed with the
 * seed, the number of the input and its bytes in hex, and ends the run with 1. Keep those bytes in the package's `test/corpus`.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { type CorpusEntry, format, inputAt, replay, run, type Target } from "@effect-live/wire/testing/Fuzz"

const maxInputMs = 10_000
const packages = new URL("../packages/", import.meta.url)

interface Job {
  readonly count: number
  readonly seed: number
  /** One 32-bit integer: the number of the input that is being decoded, 0 while the corpus is. */
  readonly current: SharedArrayBuffer
}

interface Suite {
  readonly targets: ReadonlyArray<Target>
  readonly corpus: ReadonlyArray<CorpusEntry>
}

/** The decoders of every package that lists some, with the inputs it kept. */
const loadSuites = async (): Promise<ReadonlyArray<Suite>> => {
  const suites: Array<Suite> = []
  for (const name of readdirSync(packages).toSorted()) {
    const file = new URL(`${name}/test/fuzz.ts`, packages)
    if (!existsSync(file)) continue
    const module: { readonly fuzzTargets: ReadonlyArray<Target> } = await import(file.href)
    const folder = new URL(`${name}/test/corpus/`, packages)
    const files = existsSync(folder) ? readdirSync(folder).filter((kept) => kept.endsWith(".json")) : []
    const corpus = files.flatMap((kept): ReadonlyArray<CorpusEntry> =>
      JSON.parse(readFileSync(new URL(kept, folder), "utf8"))
    )
    suites.push({ targets: module.fuzzTargets, corpus })
  }
  return suites
}

const targetsOf = (suites: ReadonlyArray<Suite>): ReadonlyArray<Target> => suites.flatMap(({ targets }) => targets)

interface Done {
  readonly accepted: number
  readonly inputs: number
  readonly kept: number
  readonly targets: ReadonlyArray<string>
  readonly failed: string
}

/** In the worker: decode everything, then report. */
const work = async ({ count, current, seed }: Job): Promise<void> => {
  const suites = await loadSuites()
  const targets = targetsOf(suites)
  const now = new Int32Array(current)
  const kept = suites.map(({ corpus, targets }) => replay(targets, corpus))
  const report = run(targets, { count, seed, progress: (index) => void Atomics.store(now, 0, index) })
  const failures = [...kept.flatMap((one) => one.failures), ...report.failures]
  const done: Done = {
    accepted: report.accepted,
    inputs: report.inputs,
    kept: kept.reduce((sum, one) => sum + one.inputs, 0),
    targets: targets.map(({ name }) => name),
    failed: failures.length > 0 ? format(failures) : ""
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is for windows
  parentPort?.postMessage(done)
}

const watch = async (count: number, seed: number): Promise<number> => {
  const current = new SharedArrayBuffer(4)
  const now = new Int32Array(current)
  const job: Job = { count, seed, current }
  console.log(`${count.toLocaleString("en")} inputs from seed ${seed}`)
  const fromMs = performance.now()
  const worker = new Worker(new URL(import.meta.url), { workerData: job })
  const { promise, reject, resolve } = Promise.withResolvers<Done | "hangs">()
  worker.on("message", resolve).on("error", reject)

  let [last, sinceMs, printedMs] = [-1, performance.now(), performance.now()]
  const watchdog = setInterval(() => {
    const [index, atMs] = [Atomics.load(now, 0), performance.now()]
    if (index !== last) [last, sinceMs] = [index, atMs]
    else if (atMs - sinceMs > maxInputMs && index > 0) resolve("hangs")
    if (atMs - printedMs < 5_000) return
    printedMs = atMs
    const perSecond = Math.round(index / ((atMs - fromMs) / 1000))
    console.log(`${index.toLocaleString("en")} inputs, ${perSecond.toLocaleString("en")} a second`)
  }, 500)
  const outcome = await promise.finally(() => clearInterval(watchdog))
  await worker.terminate()

  if (outcome === "hangs") {
    const [target, input] = inputAt(targetsOf(await loadSuites()), seed, last)
    console.error(`${target.name} hangs on input ${last} of seed ${seed}\n  hex ${Buffer.from(input).toString("hex")}`)
    return 1
  }
  const seconds = ((performance.now() - fromMs) / 1000).toFixed(1)
  console.log(`${outcome.targets.length} decoders: ${outcome.targets.join(", ")}`)
  console.log(
    `${outcome.inputs.toLocaleString("en")} inputs in ${seconds} s and ${outcome.kept} kept ones; ` +
      `${outcome.accepted.toLocaleString("en")} were valid, the others typed errors`
  )
  if (outcome.failed !== "") console.error(outcome.failed)
  return outcome.failed === "" ? 0 : 1
}

const positive = (text: string | undefined, otherwise: number): number => {
  const value = text === undefined ? otherwise : Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  console.error("usage: npm run fuzz -- [count] [seed], both positive integers")
  process.exit(2)
}

if (isMainThread) {
  process.exitCode = await watch(positive(process.argv[2], 10_000_000), positive(process.argv[3], 1))
} else {
  await work(workerData)
}
