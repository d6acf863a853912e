/* oxlint-disable vitest/no-conditional-tests, vitest/valid-title, vitest/valid-describe-callback, vitest/no-disabled-tests -- it makes suites, and says why it skips one */
import { describe } from "vitest"
import type * as Addon from "../../index.cjs"
import { loaded } from "./native.ts"

const required = process.env.CI === "1" || process.env.EFFECT_LIVE_REQUIRE_NATIVE === "1"

/** A suite that needs the addon. Where it is not built it is skipped, with the reason, unless it is required. */
export const suite = (name: string, body: (native: typeof Addon) => void): void => {
  const native = loaded
  if (!(native instanceof Error)) {
    describe(name, () => body(native))
    return
  }
  if (required) throw native
  console.warn(`skipped: ${name}: ${native.message}`)
  describe.skip(name, () => {})
}
