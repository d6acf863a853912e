/**
 * What a Reader throws, and nothing else: a plain object without a stack, because a decoder throws and catches it inside one
 * synchronous call. It becomes a `DecodeError` once, in `decode`.
 */
export class DecodeFailure {
  readonly offset: number
  readonly expected: string

  constructor(offset: number, expected: string) {
    this.offset = offset
    this.expected = expected
  }
}
