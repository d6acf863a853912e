export * as Metrics from "./Metrics.ts"
export * as Scenario from "./Scenario.ts"
export * as Scenarios from "./Scenarios.ts"
export * as Simulator from "./Simulator.ts"
