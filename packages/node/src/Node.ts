/**
 * Everything an application needs to go live and to gossip from Node, in one Layer; what carries it is chosen at run time from `Config`, which
 * reads the environment unless another ConfigProvider is given.
 *
 * | variable | meaning | without it |
 * | --- | --- | --- |
 * | `LIVE_TRANSPORT` | what carries the connections: `iroh` | `iroh` |
 * | `IROH_BACKING` | `auto`, `native` (the addon) or `number0` (`@number0/iroh`) | the addon where it is built |
 * | `IROH_SECRET` | secret key, 64 hex digits: who we are | a fresh one |
 * | `IROH_BIND` | local addresses, `ip:port` joined by commas | every interface, a free port |
 * | `IROH_RELAY` | `default`, `disabled`, or URLs joined by commas | the public relays |
 * | `IROH_PEERS` | tickets of peers joined by commas, for dials by id | none |
 * | `IROH_...` | windows, timeouts, congestion control, discovery, admission | see the README of endpoint-iroh |
 * | `LIVE_SUBSCRIPTIONS`, `LIVE_SUBSCRIBE_TIMEOUT` | limits of `Live` | see its README |
 * | `GOSSIP_...` | views, message size, whether addresses are published | see `Gossip.config` |
 */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import type { Endpoint } from "@effect-live/endpoint/Endpoint"
import * as Router from "@effect-live/endpoint/Router"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import * as Gossip from "@effect-live/gossip/Gossip"
import * as Live from "@effect-live/live/Live"
import type { Moq } from "@effect-live/moq/Moq"
import { Config, Effect, Layer } from "effect"

/** The transports there are: each an Endpoint, configured by its own variables. */
const transports = { iroh: Iroh.layerConfig }

/** The Endpoint alone, with its address book. */
export const layerEndpoint = Layer.unwrap(
  Effect.map(
    Config.Literals(["iroh"], "LIVE_TRANSPORT").pipe(Config.withDefault("iroh" as const)),
    (name) => transports[name]
  )
).pipe(Layer.provideMerge(AddressBook.layer))

/** Live and Gossip on top of all of it, over one Router. */
export const layer = Layer.mergeAll(Live.layerConfig, Gossip.layerConfig).pipe(
  Layer.provideMerge(Router.layer),
  Layer.provideMerge(layerEndpoint)
)

/** What `layer` gives. */
export type Node = Live.Live | Moq | Gossip.Gossip | Router.Router | Endpoint | AddressBook.AddressBook
