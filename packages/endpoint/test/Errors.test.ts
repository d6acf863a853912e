import { assert, describe, it } from "@effect/vitest"
import { DatagramTooLarge } from "../src/Connection.ts"
import { ClosedByPeer, ConnectError, ConnectTimeout, WrongAlpn } from "../src/Endpoint.ts"
import * as EndpointId from "../src/EndpointId.ts"
import { ConnectionLost, PeerReset, StreamError } from "../src/Stream.ts"
import { Result } from "effect"

const peer = Result.getOrThrow(EndpointId.parse("ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"))

describe("the errors of an endpoint say who, what and why", () => {
  for (const [error, message] of [
    [
      new ConnectError({ peer, reason: new ConnectTimeout({ timeoutMs: 10_000 }) }),
      "cannot connect to ea4a6c63e2: nobody answered within 10000 ms; it may be gone, or no way leads to it"
    ],
    [
      new ConnectError({ peer, reason: new WrongAlpn({ offered: ["a", "b"] }) }),
      "cannot connect to ea4a6c63e2: it speaks none of a, b; another version of the program may run there"
    ],
    [
      new ConnectError({ peer, reason: new ClosedByPeer({ code: 1, reason: "rejected" }) }),
      "cannot connect to ea4a6c63e2: it closed the connection at once (code 1, rejected)"
    ],
    [new StreamError({ reason: new PeerReset({ code: 7 }) }), "the peer reset the stream (code 7)"],
    [
      new StreamError({ reason: new ConnectionLost({ close: { _tag: "IdleTimeout" } }) }),
      "the connection has ended: the peer went silent"
    ],
    [
      new DatagramTooLarge({ bytes: 1500, maxBytes: 1200 }),
      "a datagram of 1500 bytes is too large: 1200 fit at the moment"
    ]
  ] as const) {
    it(`"${message}"`, () => assert.strictEqual(error.message, message))
  }
})
