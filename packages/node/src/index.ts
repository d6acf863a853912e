export * as Node from "./Node.ts"
