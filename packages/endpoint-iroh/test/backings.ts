/** Both backings for the tests. Where the addon is not built, its tests say so and are skipped; EFFECT_LIVE_REQUIRE_NATIVE=1 forbids that. */
import type { Capability } from "@effect-live/endpoint/testing/EndpointCases"
import * as Iroh from "../src/Iroh.ts"

/** Why the addon does not load here. */
export const nativeMissing: string | undefined = await import("@effect-live/native").then(
  () => undefined,
  (error: unknown) => String(error)
)
if (nativeMissing !== undefined) {
  if (process.env["EFFECT_LIVE_REQUIRE_NATIVE"] === "1") throw new Error(nativeMissing)
  console.log(`skipped on the addon: ${nativeMissing}`)
}

export const backings = [
  {
    name: "number0",
    layer: Iroh.layerNumber0,
    missing: undefined,
    cannot: new Map<Capability, string>([
      ["microsecondRtt", "it tells whole milliseconds"],
      ["blockedReset", "its reset waits behind the write for the stream's lock"]
    ])
  },
  { name: "native", layer: Iroh.layerNative, missing: nativeMissing, cannot: new Map<Capability, string>() }
] as const
