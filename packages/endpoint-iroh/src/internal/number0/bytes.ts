/**
 * `@number0/iroh` takes and gives bytes as arrays of numbers: this is the one place where that happens. Plain loops, because
 * they were the fastest of what `bench/iroh.ts` measures, by a factor of three and more.
 */

/** The bytes of all chunks, in order. */
export const toNumbers = (chunks: ReadonlyArray<Uint8Array>): Array<number> => {
  let length = 0
  for (const chunk of chunks) length += chunk.length
  // oxlint-disable-next-line unicorn/no-new-array -- `Array.from({ length })` takes ten times as long
  const numbers = new Array<number>(length)
  let at = 0
  for (const chunk of chunks) for (let i = 0; i < chunk.length; i++) numbers[at++] = chunk[i] ?? 0
  return numbers
}

export const fromNumbers = (numbers: ReadonlyArray<number>): Uint8Array => {
  const bytes = new Uint8Array(numbers.length)
  for (let i = 0; i < numbers.length; i++) bytes[i] = numbers[i] ?? 0
  return bytes
}
