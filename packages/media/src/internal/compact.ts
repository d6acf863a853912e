/** Keys that may be undefined become optional. */
type Compact<A> = { [K in keyof A as undefined extends A[K] ? never : K]: A[K] } & {
  [K in keyof A as undefined extends A[K] ? K : never]?: Exclude<A[K], undefined>
}

/** The object without its undefined fields. */
export const compact = <A extends object>(value: A): Compact<A> =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Compact<A>
