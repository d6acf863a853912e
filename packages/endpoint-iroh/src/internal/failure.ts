/** Why there is no endpoint. */
import { Schema } from "effect"

/** Which of the two carries the endpoint. */
export const Backing = Schema.Literals(["native", "number0"])
export type Backing = typeof Backing.Type

/** The packages of the backings. */
export const packages: { readonly [name in Backing]: string } = {
  native: "@effect-live/native",
  number0: "@number0/iroh"
}

/** A backing that was looked for, and why it was not taken. */
const Looked = Schema.Struct({ backing: Backing, detail: Schema.String })

/** None of the backings asked for loads on this platform. */
export class BackingMissing extends Schema.TaggedError<BackingMissing>()("BackingMissing", {
  platform: Schema.String,
  looked: Schema.Array(Looked)
}) {
  override get message(): string {
    const looked = this.looked.map(({ backing, detail }) => `${packages[backing]} does not load: ${detail}`)
    return `no iroh for ${this.platform}: ${looked.join("; ")}. ${this.looked.map(({ backing }) => advice[backing]).join("; or ")}`
  }
}

const advice: { readonly [name in Backing]: string } = {
  native: "Build the addon, which needs cargo: npm run build:native",
  number0: "install the dependencies again on this machine (npm install)"
}

/** Options that the backing cannot fulfil. */
export class Unsupported extends Schema.TaggedError<Unsupported>()("Unsupported", {
  backing: Backing,
  options: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return (
      `${packages[this.backing]} cannot do ${this.options.join(", ")}: leave it out, or use ` +
      `${packages.native} (npm run build:native)`
    )
  }
}

/** Options that contradict themselves or are out of range. */
export class InvalidOptions extends Schema.TaggedError<InvalidOptions>()("InvalidOptions", { detail: Schema.String }) {
  override get message(): string {
    return `the options of the endpoint cannot be meant: ${this.detail}`
  }
}

/** Another process or endpoint has the port. */
export class AddressInUse extends Schema.TaggedError<AddressInUse>()("AddressInUse", {
  bindAddrs: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `${this.bindAddrs.join(", ")}: the port is taken; choose another one, or 0 for any`
  }
}

/** Anything else that kept the sockets from being bound. */
export class BindFailed extends Schema.TaggedError<BindFailed>()("BindFailed", { detail: Schema.String }) {
  override get message(): string {
    return `the endpoint could not be bound: ${this.detail}`
  }
}

export class IrohError extends Schema.TaggedError<IrohError>()("IrohError", {
  reason: Schema.Union([BackingMissing, Unsupported, InvalidOptions, AddressInUse, BindFailed])
}) {
  override get message(): string {
    return this.reason.message
  }
}
