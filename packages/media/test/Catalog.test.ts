import { assert, describe, it } from "@effect/vitest"
import { Catalog, Limits } from "@effect-live/media"
import { Result, type Schema } from "effect"
import fc from "fast-check"
import { vectors } from "./support.ts"

interface Entry {
  readonly id: string
  readonly kind: string
  readonly title: string
  readonly valid?: boolean
  readonly document?: Schema.Json
  readonly parsedByNpmHang035?: Parsed
  readonly wireText?: string
  readonly frames?: ReadonlyArray<string>
  readonly values?: ReadonlyArray<Schema.Json>
}

interface Parsed {
  readonly video?: { readonly renditions: { readonly [name: string]: { readonly [key: string]: unknown } } }
  readonly audio?: { readonly renditions: { readonly [name: string]: { readonly [key: string]: unknown } } }
}

const catalogs = vectors<Entry>().filter(({ kind }) => kind === "catalog")

const decode = (document: unknown): Catalog.Decoded => Result.getOrThrow(Catalog.decode(JSON.stringify(document)))
const reencode = (catalog: Catalog.Catalog): Parsed & { readonly [section: string]: unknown } =>
  JSON.parse(Catalog.format(catalog))

/** Renditions that this package leaves out on purpose. */
const otherContainers = new Set(["v0 of cat-cmaf", "v0 of cat-loc", "future of cat-unknown-container"])

describe("catalogs of all writers", () => {
  for (const { document, id, parsedByNpmHang035: parsed, title, valid } of catalogs) {
    if (valid !== true) continue
    it(`reads ${id}: ${title}`, () => {
      const { catalog, warnings } = decode(document)
      const written = reencode(catalog)
      for (const kind of ["video", "audio"] as const) {
        for (const [name, config] of Object.entries(parsed?.[kind]?.renditions ?? {})) {
          if (otherContainers.has(`${name} of ${id}`)) {
            assert.isUndefined(written[kind]?.renditions[name])
            assert.isTrue(warnings.some(({ path }) => path === `${kind}.renditions.${name}.container`))
            continue
          }
          const got = written[kind]?.renditions[name] ?? {}
          for (const [key, value] of Object.entries(config)) {
            if (key === "optimizeForLatency" && got[key] === undefined) continue // its default
            assert.deepStrictEqual(got[key], value, `${name}.${key}`)
          }
        }
      }
      if (!id.includes("container") && !id.includes("cmaf") && !id.includes("loc")) assert.deepStrictEqual(warnings, [])
    })
  }

  for (const { document, id, title, valid } of catalogs) {
    if (valid !== false) continue
    it(`reads around what is wrong in ${id}: ${title}`, () => {
      const { warnings } = decode(document)
      assert.isAbove(warnings.length, 0)
      for (const { path, reason } of warnings) assert.isTrue(path.length > 0 && reason.length > 0)
    })
  }

  for (const { document, id, wireText } of catalogs) {
    if (wireText === undefined) continue
    it(`writes ${id} byte for byte as hang 0.15.8 does, but for the decimal point of the frame rate`, () => {
      assert.strictEqual(Catalog.format(decode(document).catalog), wireText.replaceAll(/("framerate":\d+)\.0/g, "$1"))
    })
  }
})

describe("tolerance", () => {
  const good = { codec: "vp8", container: { kind: "legacy" } }

  it("a bad rendition takes none of the others with it, and says where and why", () => {
    const bad = [
      { codec: 7 },
      { codec: "" },
      5,
      null,
      "x",
      [],
      { ...good, description: "zz" },
      { ...good, container: 1 }
    ]
    const renditions = Object.fromEntries(bad.map((config, index) => [`bad${index}`, config]))
    const { catalog, warnings } = decode({ video: { renditions: { ...renditions, good } } })
    assert.deepStrictEqual([...catalog.video.keys()], ["good"])
    assert.deepStrictEqual(
      new Set(warnings.map(({ path }) => path.split(".")[2])),
      new Set(bad.map((_, index) => `bad${index}`))
    )
  })

  it("a bad optional field costs that field", () => {
    const wrong = { codedWidth: -1, codedHeight: 1.5, bitrate: "x", framerate: 0, jitter: null, optimizeForLatency: 1 }
    const { catalog, warnings } = decode({ video: { renditions: { v: { ...good, ...wrong } } } })
    assert.deepStrictEqual(catalog.video.get("v"), { codec: "vp8" })
    assert.strictEqual(warnings.length, 6)
  })

  it("reads both names of the aspect ratio and writes both", () => {
    const size = { displayAspectWidth: 16, displayAspectHeight: 9 }
    const ratio = decode({ video: { renditions: { v: { ...good, displayRatioWidth: 16, displayRatioHeight: 9 } } } })
    assert.deepStrictEqual(ratio.catalog.video.get("v"), { codec: "vp8", ...size })
    const written = reencode(ratio.catalog).video?.renditions["v"]
    assert.deepInclude(written, { ...size, displayRatioWidth: 16, displayRatioHeight: 9 })
  })

  it("gives a chat track without priority one, because hang 0.15.8 demands it", () => {
    const { catalog } = decode({ chat: { message: { name: "chat" } } })
    assert.deepStrictEqual(reencode(catalog)["chat"], { message: { name: "chat", priority: 10 } })
  })

  it("keeps sections that it does not know, also one called __proto__", () => {
    const text = '{"scte35":{"spliceId":1},"__proto__":{"a":1}}'
    const { catalog } = Result.getOrThrow(Catalog.decode(text))
    assert.include(Catalog.format(catalog), '"scte35":{"spliceId":1},"__proto__":{"a":1}')
  })

  it("sorts renditions by the bytes of their names", () => {
    const { catalog } = decode({ video: { renditions: { "\u{1f600}": good, "\uffff": good, b: good, a: good } } })
    assert.deepStrictEqual([...catalog.video.keys()], ["a", "b", "\uffff", "\u{1f600}"])
  })

  it("what it wrote, it reads again without a warning and writes the same", () => {
    const config = fc.record(
      {
        codec: fc.string({ minLength: 1 }),
        description: fc.uint8Array(),
        codedWidth: fc.integer({ min: 1 }),
        displayAspectWidth: fc.integer({ min: 1 }),
        bitrate: fc.nat(),
        framerate: fc.double({ min: 0.01, max: 1000, noNaN: true }),
        optimizeForLatency: fc.boolean(),
        jitterMs: fc.nat()
      },
      { requiredKeys: ["codec"] }
    )
    fc.assert(
      fc.property(fc.dictionary(fc.string(), config), (renditions) => {
        const text = Catalog.format({ ...Catalog.empty, video: new Map(Object.entries(renditions)) })
        const { catalog, warnings } = Result.getOrThrow(Catalog.decode(text))
        assert.deepStrictEqual(warnings, [])
        assert.strictEqual(Catalog.format(catalog), text)
      })
    )
  })
})

const refused = (document: string | Uint8Array) => Result.getOrThrow(Result.flip(Catalog.decode(document))).reason

describe("limits", () => {
  it("refuses what is no object, no JSON, no UTF-8", () => {
    assert.strictEqual(refused("[]"), "not an object")
    assert.strictEqual(refused("{"), "not JSON")
    assert.strictEqual(refused(Uint8Array.of(0xff)), "not UTF-8")
  })

  it("refuses a document above the limits of size and depth", () => {
    assert.strictEqual(refused(`{"a":"${"x".repeat(Limits.catalogBytes)}"}`), "too large")
    assert.strictEqual(refused('{"a":'.repeat(200_000 / 5)), "not JSON")
    const deep = `${'{"a":'.repeat(Limits.catalogDepth + 2)}1${"}".repeat(Limits.catalogDepth + 2)}`
    assert.strictEqual(refused(deep), "too deep")
  })

  it("leaves renditions above the limit out, and says so", () => {
    const names = Array.from({ length: Limits.renditionsPerKind + 10 }, (_, index) => [`v${index}`, { codec: "vp8" }])
    const { catalog, warnings } = decode({ video: { renditions: Object.fromEntries(names) } })
    assert.strictEqual(catalog.video.size, Limits.renditionsPerKind)
    assert.strictEqual(warnings.length, 1)
  })

  it("keeps a bounded number of warnings, and counts the rest", () => {
    const names = Array.from({ length: 200 }, (_, index) => [`v${index}`, 1])
    const { warnings } = decode({ video: { renditions: Object.fromEntries(names) } })
    assert.strictEqual(warnings.length, Limits.catalogWarnings)
    assert.strictEqual(warnings.at(-1)?.reason, `${200 - Limits.catalogWarnings + 1} more warnings`)
  })

  it("bounds what a snapshot and its patches add up to", () => {
    const decoder = new Catalog.GroupDecoder()
    const patch = `{"a":"${"x".repeat(Limits.catalogBytes / 4)}"}`
    const outcomes = [1, 2, 3, 4].map(() => Result.isSuccess(decoder.decode(patch)))
    assert.deepStrictEqual(outcomes, [true, true, true, false])
  })
})

describe("snapshots and merge patches", () => {
  it("reads a group of both", () => {
    const vector = vectors<Entry>().find(({ id }) => id === "catalog-delta-group")
    const decoder = new Catalog.GroupDecoder()
    for (const [index, frame] of (vector?.frames ?? []).entries()) {
      const { catalog } = Result.getOrThrow(decoder.decode(frame))
      assert.deepStrictEqual<unknown>(reencode(catalog), vector?.values?.[index])
    }
  })

  it("follows the examples of RFC 7396", () => {
    const cases: ReadonlyArray<readonly [Schema.Json, Schema.Json, Schema.Json]> = [
      [{ a: "b" }, { a: "c" }, { a: "c" }],
      [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
      [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
      [{ a: ["b"] }, { a: "c" }, { a: "c" }],
      [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
      [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
      [{ a: "foo" }, null, null],
      [{ a: "foo" }, "bar", "bar"],
      [{ e: null }, { a: 1 }, { e: null, a: 1 }],
      [[1, 2], { a: "b", c: null }, { a: "b" }],
      [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }]
    ]
    for (const [target, patch, expected] of cases) assert.deepStrictEqual(Catalog.mergePatch(target, patch), expected)
  })
})
