/**
 * Makes the package of prebuilt binaries for this machine's platform out of what the build has put beside `index.cjs`:
 *
 *     node packages/native/pack.mjs <folder>
 *
 * It writes `<folder>/native-<platform>/`, ready for `npm publish` or `npm pack`. The loader finds it where it is installed.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import platform from "./platform.cjs"

const fail = (why) => {
  process.stderr.write(`${why}\n`)
  process.exit(1)
}

const [folder] = process.argv.slice(2)
if (folder === undefined) fail("Where to? node packages/native/pack.mjs <folder>")

const file = `effect_live_native.${platform}.node`
const binary = path.join(import.meta.dirname, file)
if (!existsSync(binary)) fail(`${binary} is not there: run "npm run build:native" first`)

const { version, license, repository, engines } = JSON.parse(
  readFileSync(path.join(import.meta.dirname, "package.json"), "utf8")
)
const libc = { gnu: ["glibc"], musl: ["musl"] }[platform.split("-")[2]]
// npm installs an optional dependency only where all of `os`, `cpu` and `libc` fit.
const description = {
  name: `@effect-live/native-${platform}`,
  version,
  description: `The binary of @effect-live/native for ${platform}`,
  license,
  repository,
  files: [file],
  main: file,
  os: [process.platform],
  cpu: [process.arch],
  ...(libc === undefined ? {} : { libc }),
  engines
}

const target = path.join(folder, `native-${platform}`)
mkdirSync(target, { recursive: true })
copyFileSync(binary, path.join(target, file))
writeFileSync(path.join(target, "package.json"), `${JSON.stringify(description, null, 2)}\n`)
process.stdout.write(`${target}\n`)
