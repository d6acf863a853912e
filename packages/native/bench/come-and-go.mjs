/**
 * What memory is after connections, or streams, have come and gone, against before: the long form of two of the tests. As many come
 * and go once before, so that what is kept for good is there.
 *
 *     node packages/native/bench/come-and-go.mjs [connections|streams] [count]
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import path from "node:path"
import { text } from "node:stream/consumers"

const [role = "connections", count = "10000"] = process.argv.slice(2)
const file = path.join(import.meta.dirname, "../test/support/child.ts")
// It ends when its stdin does.
const child = spawn(process.execPath, ["--expose-gc", file, role, count], { stdio: ["pipe", "pipe", "inherit"] })
const [said, [code]] = await Promise.all([text(child.stdout), once(child, "exit")])
if (code !== 0) process.exit(1)
const { after, before } = JSON.parse(said)
const line = { [role]: Number(count), resident: after.rss / before.rss, heap: after.heap / before.heap, before, after }
process.stdout.write(`${JSON.stringify(line)}\n`)
