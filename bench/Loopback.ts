/** Endpoints of measurements: on the loopback interface, without relays, known by what their process tells. */
import * as AddressBook from "@effect-live/endpoint/AddressBook"
import * as EndpointAddr from "@effect-live/endpoint/EndpointAddr"
import * as EndpointId from "@effect-live/endpoint/EndpointId"
import * as TransportAddr from "@effect-live/endpoint/TransportAddr"
import * as Iroh from "@effect-live/endpoint-iroh/Iroh"
import { Layer, Result } from "effect"

const layers = { native: Iroh.layerNative, number0: Iroh.layerNumber0 }
export type Backing = keyof typeof layers

export const alpn = "effect-live/bench"

const loopback = Result.getOrThrow(TransportAddr.parseIp("127.0.0.1:0"))

/** A fresh one each time it is built, so that nothing is connected before. */
export const endpointOn = (backing: Backing) =>
  Layer.fresh(
    layers[backing]({ bindAddrs: [loopback], relayMode: "disabled" }).pipe(Layer.provideMerge(AddressBook.layer))
  )

/** Whom a process tells to dial. */
export interface Target {
  readonly id: string
  /** `IP:PORT`. */
  readonly addr: string
}

export const addrOf = ({ addr, id }: Target): EndpointAddr.EndpointAddr =>
  EndpointAddr.make(Result.getOrThrow(EndpointId.parse(id)), [Result.getOrThrow(TransportAddr.parseIp(addr))])
