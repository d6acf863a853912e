export * as Limits from "./Limits.ts"
export * as Simulation from "./Simulation.ts"
