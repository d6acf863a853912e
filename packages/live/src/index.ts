export * as Limits from "./Limits.ts"
export * as Live from "./Live.ts"
export * as LiveTicket from "./LiveTicket.ts"
export * as Subscription from "./Subscription.ts"
