/** One line of the table of measurements. */
export interface Row {
  readonly what: string
  readonly value: number
  readonly unit: string
  /** What should be reached, in words. */
  readonly reach: string
}
