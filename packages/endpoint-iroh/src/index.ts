export * as Control from "./Control.ts"
export * as Iroh from "./Iroh.ts"
export * as Limits from "./Limits.ts"
