import { Effect } from "effect"

/** Bytes that live after a collection, of the heap and of buffers outside it. */
export const liveBytes = Effect.promise(async () => {
  const { gc } = globalThis
  if (gc === undefined) throw new Error("run with --expose-gc")
  // finalizers and buffers outside the heap go with the turns after a collection
  for (let round = 0; round < 4; round++) {
    gc()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
})
