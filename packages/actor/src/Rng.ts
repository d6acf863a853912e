/**
 * A seeded generator (sfc32) in 32-bit integer arithmetic only: the same numbers on every engine. For cores and simulations,
 * never for keys or anything that must be hard to guess.
 */
export interface Rng {
  /** At least 0, below 1; a multiple of 2^-32. */
  readonly next: () => number
  /** A whole number, at least 0 and below `n`; `n` at most 2^32. */
  readonly below: (n: number) => number
}

/** A 32-bit hash of a text (FNV-1a with a final mix): gives every name a seed of its own. */
export const hash = (text: string, seed = 0): number => {
  let h = (seed ^ 0x811c9dc5) >>> 0
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  return h >>> 0
}

/**
 * One generator per purpose, told apart by name: what one of them draws never changes what another one gives. The seed
 * counts modulo 2^32.
 */
export const make = (seed: number, name = ""): Rng => {
  let a = hash(name, seed)
  let b = hash("b", a)
  let c = hash("c", b)
  let counter = 1
  const next = (): number => {
    const t = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return (t >>> 0) / 4_294_967_296
  }
  for (let i = 0; i < 12; i++) next()
  return { next, below: (n) => Math.floor(next() * n) }
}
