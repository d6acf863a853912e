export * as SimNetwork from "./SimNetwork.ts"
export * as EndpointCases from "./EndpointCases.ts"
