export * as Iroh from "./Iroh.ts"
export * as Limits from "./Limits.ts"
