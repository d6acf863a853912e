/** Where the foreign programs are, as `build.ts` leaves them. */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** Of the repository. */
export const root: string = fileURLToPath(new URL("../../", import.meta.url))

/** Where `cargo install` puts programs. */
export const tools: string = join(root, "target/tools")

export const peer: string = join(root, "target/release/interop-peer")
export const gossipPeer: string = join(root, "target/release/interop-gossip-peer")
export const moqRelay: string = join(tools, "bin/moq-relay")
export const irohRelay: string = join(tools, "bin/iroh-relay")

/** The programs from crates.io. */
export const programs = [
  { name: "moq-relay", version: "0.17.10", features: ["--no-default-features", "--features", "iroh,noq,websocket"] },
  { name: "iroh-relay", version: "1.4.1", features: ["--features", "server"] }
] as const

export const nativeIsBuilt = (): boolean =>
  readdirSync(join(root, "packages/native")).some((name) => name.endsWith(".node"))
