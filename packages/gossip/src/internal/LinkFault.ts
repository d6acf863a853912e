import { Schema } from "effect"

/** Why we end a connection: its peer breaks the rules, or takes nothing. */
export class LinkFault extends Schema.TaggedError<LinkFault>()("LinkFault", {
  kind: Schema.Literals(["malformed", "stalled"]),
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}
