import { assert, describe, it } from "@effect/vitest"
import * as Version from "../src/Version.ts"

describe("versions", () => {
  it("are accepted and offered newest first", () => {
    assert.deepStrictEqual(Version.alpns, ["moq-lite-05", "moq-lite-04", "moq-lite-03"])
    assert.deepStrictEqual(Version.alpns, Version.all.map(({ alpn }) => alpn) as unknown as typeof Version.alpns)
    for (const version of Version.all) assert.strictEqual(Version.fromAlpn(version.alpn), version)
    for (const alpn of ["moql", "moq-lite-02", "moq-lite-06-wip", "moqt-17", ""])
      assert.isUndefined(Version.fromAlpn(alpn))
  })

  it("are dialed all at once where one handshake offers several, else the newest and the one that everybody speaks", () => {
    assert.deepStrictEqual(Version.dialAlpns(true), Version.alpns)
    assert.deepStrictEqual(Version.dialAlpns(false), ["moq-lite-05", "moq-lite-03"])
  })

  it("have only their own responses", () => {
    const group = 1
    const wishes = { priority: 0, ordered: false, maxLatencyMs: 0, start: undefined, end: undefined }
    for (const version of [Version.lite03, Version.lite04]) {
      assert.throws(() => version.encodeResponse({ _tag: "SubscribeStart", group }), RangeError)
      assert.throws(() => version.encodeResponse({ _tag: "SubscribeEnd", group }), RangeError)
    }
    assert.throws(() => Version.lite05.encodeResponse({ _tag: "SubscribeOk", ...wishes }), RangeError)
  })
})
