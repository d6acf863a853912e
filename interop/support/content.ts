/** Frames that whoever receives them can make again: the same function as `content` of `peer/src/content.rs`. */
import { createHash } from "node:crypto"
import { assert } from "@effect/vitest"

/** Frame `frame` of group `group`, in the broadcast that was published as number `seed`. */
export const content = (seed: number, group: number, frame: number, bytes: number): Uint8Array => {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(group, 0x85ebca6b) ^ Math.imul(frame, 0xc2b2ae35)) | 1
  return Uint8Array.from({ length: bytes }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state
  })
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Every frame that arrived is the one that was written; the first of a group has `bytes` bytes, each further one has one more. */
export const assertContent = (
  received: ReadonlyArray<{ readonly sequence: number; readonly frames: ReadonlyArray<Uint8Array> }>,
  bytes: number,
  seed = 0
): void => {
  for (const { frames, sequence } of received) {
    for (const [index, frame] of frames.entries()) {
      assert.deepStrictEqual(frame, content(seed, sequence, index, bytes + index), `group ${sequence}, frame ${index}`)
    }
  }
}
