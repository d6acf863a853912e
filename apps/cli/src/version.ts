import { readFileSync } from "node:fs"
import { Option, Schema } from "effect"

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ version: Schema.String })))

/** The version of this program, from its package. */
export const version: string = Option.match(decode(readFileSync(new URL("../package.json", import.meta.url), "utf8")), {
  onNone: () => "unknown",
  onSome: (manifest) => manifest.version
})
