/** Public keys that nobody has heard of: nor has this process, which remembers those that it has checked. */
import { generateKeyPairSync } from "node:crypto"

/** In hex. */
export const unknownKey = (): string => {
  const { x = "" } = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" })
  return Buffer.from(x, "base64url").toString("hex")
}
