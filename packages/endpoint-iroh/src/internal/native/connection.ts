/** A connection over the addon's. */
import type { Close } from "@effect-live/endpoint/Close"
import type { Connection, Path, Remote } from "@effect-live/endpoint/Connection"
import { type BiStream, Blocked, type ConnectionLost } from "@effect-live/endpoint/Stream"
import { codeOf, type Loss, loss } from "@effect-live/endpoint/StreamKit"
import type * as Native from "@effect-live/native"
import { Effect } from "effect"
import { changes } from "./changes.ts"
import * as Limits from "../../Limits.ts"
import * as Datagrams from "./datagrams.ts"
import * as Streams from "./streams.ts"
import { take, takeInTurn } from "./take.ts"
import { type Addon, Condition, Source } from "./waiting.ts"

export const make = (addon: Addon, native: Native.Connection, remote: Remote): Connection => {
  const { BLOCKED, OVER, Token } = addon
  const first = native.token
  const token = (offset: number) => first + offset

  let known: Loss | undefined
  const lost = (): Loss => {
    if (known !== undefined) return known
    const close = native.closed()
    if (close === null) return loss({ _tag: "TransportFailed", message: "the connection is over and does not say why" })
    return (known = loss(closeOf(close)))
  }
  const over = new Condition(addon, "wait", token(Token.Connection.closed), () => native.closed() !== null)
  const closed = Effect.map(over.wait, (): Close => lost().connection.close)
  let closedByUs = false
  /** What was opened since the last look and is not over. What is over is let go of at once: most streams are young then. */
  let opened = new Set<() => void>()
  let timed = false
  const lookAfter = () => {
    const looks = opened
    opened = new Set()
    timed = false
    for (const look of looks) look()
  }
  const owner: Streams.Owner = {
    lost,
    closed,
    closedByUs: () => closedByUs,
    opened: (look) => {
      opened.add(look)
      if (timed) return
      timed = true
      // oxlint-disable-next-line effect-live/no-ambient -- a fiber that sleeps would keep the process alive
      setTimeout(lookAfter, Limits.longLivedMs).unref()
    },
    over: (look) => opened.delete(look)
  }

  const bi = ({ recv, send }: Native.BiStream): BiStream => ({
    send: Streams.send(addon, send, owner),
    recv: Streams.recv(addon, recv, owner)
  })
  /** Tries for a value of the addon's. */
  const source = <N extends object, A>(what: string, offset: number, pull: () => N | -1 | -2, made: (native: N) => A) =>
    new Source<A | ConnectionLost>(addon, what, token(offset), () => {
      if (closedByUs) return lost().connection
      const value = pull()
      if (value === BLOCKED) return Blocked
      return value === OVER ? lost().connection : made(value)
    })
  const acceptedUni = Streams.accepting(addon, native, owner)
  const acceptedBi = source("Connection.acceptBi", Token.Connection.acceptBi, () => native.tryAcceptBi(), bi)
  const openedUni = source(
    "Connection.openUni",
    Token.Connection.openUni,
    () => native.tryOpenUni(),
    (stream) => Streams.send(addon, stream, owner)
  )
  const openedBi = source("Connection.openBi", Token.Connection.openBi, () => native.tryOpenBi(), bi)
  const datagrams = Datagrams.make(addon, native, owner)

  const paths = () => native.paths().map(pathOf)
  const pathsChanged = changes(addon, token(Token.Connection.paths), {
    changed: () => native.pathsChanged(),
    over: () => native.closed() !== null
  })

  return {
    alpn: native.alpn,
    remote,
    openUni: takeInTurn(openedUni),
    openBi: takeInTurn(openedBi),
    acceptUni: take(acceptedUni.source),
    acceptBi: take(acceptedBi),
    maxDatagramBytes: () => native.maxDatagramBytes(),
    sendDatagram: datagrams.send,
    writeDatagram: datagrams.write,
    readDatagram: take(datagrams.received),
    paths,
    pathChanges: pathsChanged(paths, samePaths),
    close: (code, reason) => {
      codeOf(code)
      closedByUs = true
      native.close(code, reason)
      for (const source of [acceptedUni, acceptedBi, datagrams.received]) source.drop()
    },
    closed
  }
}

const closeOf = (close: Native.Close): Close => {
  switch (close.kind) {
    case "local":
      return { _tag: "Local", code: close.code ?? 0, reason: close.reason }
    case "remote":
      return { _tag: "Remote", code: close.code ?? 0, reason: close.reason }
    case "idle":
      return { _tag: "IdleTimeout" }
    case "transport":
      return { _tag: "TransportFailed", message: close.reason }
  }
}

const pathOf = (path: Native.Path): Path => ({
  kind: path.kind,
  remote: path.remote,
  selected: path.selected,
  rttMs: path.rttUs / 1000,
  lostPackets: path.lostPackets,
  congestionWindowBytes: path.congestionWindowBytes,
  sentBytes: path.sentBytes,
  receivedBytes: path.receivedBytes
})

const samePaths = (before: ReadonlyArray<Path>, after: ReadonlyArray<Path>): boolean =>
  before.length === after.length &&
  before.every((path, index) => {
    const other = after[index]
    return other !== undefined && path.remote === other.remote && path.selected === other.selected
  })
