import { Schema } from "effect"

/** The actor has ended: `closed` by its scope, by `stop` or by itself, `crashed` by a defect in `step` or `perform`. */
export class Stopped extends Schema.TaggedError<Stopped>()("Stopped", {
  actor: Schema.String,
  reason: Schema.Literals(["closed", "crashed"])
}) {
  override get message(): string {
    return `actor ${this.actor} has ${this.reason === "closed" ? "closed" : "crashed; its defect was logged and reaches whoever joins it"}`
  }
}
