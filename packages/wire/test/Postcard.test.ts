import { assert, describe, it } from "@effect/vitest"
import { Postcard } from "@effect-live/wire"
import { Result, Schema } from "effect"
import fc from "fast-check"
import { bytesOf, hexOf, json } from "./support.ts"

interface Vector {
  readonly what: string
  readonly hex?: string
  readonly fields: {
    readonly type?: string
    readonly value?: unknown
    readonly reencoded?: string
  }
}

const map = Schema.ReadonlyMap(Schema.String, Postcard.u32)
const entriesOf = (value: unknown) => new Map(Object.entries(Object(value)))
const bigintOf = (value: unknown) => BigInt(String(value))

/** How the recorded values of a type are checked: by the schema, and how its JSON is meant. */
const types: Record<string, readonly [schema: Schema.Constraint, fromJson: (value: unknown) => unknown]> = {
  u16: [Postcard.u16, Number],
  u32: [Postcard.u32, Number],
  u64: [Postcard.u64, bigintOf],
  "zigzag i64": [Postcard.i64, bigintOf],
  "Option<u8>": [Schema.UndefinedOr(Postcard.u8), (value) => value ?? undefined],
  bool: [Schema.Boolean, Boolean],
  string: [Schema.String, String],
  map: [map, entriesOf]
}

const vectors: ReadonlyArray<Vector> = json<ReadonlyArray<Vector>>("./vectors/base.json").filter(({ what }) =>
  /^(varint|option|bool|string|map) ?/.test(what)
)

const typeOf = ({ fields, what }: Vector): string =>
  fields.type ?? Object.keys(types).find((type) => what.startsWith(type) || what === `varint ${type}`) ?? what

describe("Postcard", () => {
  it("has recorded cases to check", () => {
    assert.strictEqual(vectors.length, 30)
  })

  for (const vector of vectors) {
    const { fields, hex = "", what } = vector
    it(`does as the Rust implementation with ${what} ${hex}`, () => {
      const found = types[typeOf(vector)]
      assert.isDefined(found, typeOf(vector))
      const [schema, fromJson] = found ?? [Schema.Never, String]
      const codec = Postcard.codec(schema)
      const decoded = codec.decode(bytesOf(hex), { trailing: "refuse" })
      if (!("value" in fields)) return assert.isTrue(Result.isFailure(decoded))
      assert.deepStrictEqual(Result.getOrThrow(decoded), fromJson(fields.value))
      assert.strictEqual(hexOf(codec.encode(fromJson(fields.value))), fields.reencoded ?? hex)
    })
  }

  const Ping = Schema.TaggedStruct("Ping", { seq: Postcard.u32 })
  const Data = Schema.TaggedStruct("Data", {
    id: Postcard.fixed(2),
    tags: Schema.Array(Schema.String),
    hops: Schema.UndefinedOr(Postcard.u32)
  })
  const Message = Schema.Union([Ping, Data])

  it("writes fields in order, variants by position, and tags as nothing", () => {
    const codec = Postcard.codec(Message)
    const data = Data.make({ id: bytesOf("0102"), tags: ["a"], hops: 7 })
    assert.strictEqual(hexOf(codec.encode(Ping.make({ seq: 300 }))), "00ac02")
    assert.strictEqual(hexOf(codec.encode(data)), "0101020101610107")
    assert.deepStrictEqual(Result.getOrThrow(codec.decode(bytesOf("0101020101610107"))), data)
    assert.deepInclude(Result.getOrThrow(Result.flip(codec.decode(bytesOf("02")))), {
      offset: 0,
      expected: "a variant from 0 to 1"
    })
  })

  it("knows tuples, literals, signed bytes and plain byte strings", () => {
    const schema = Schema.Tuple([
      Postcard.i8,
      Schema.Literals(["red", "green"]),
      Postcard.bytes,
      Postcard.i16,
      Postcard.i32
    ])
    const codec = Postcard.codec(schema)
    const value = [-1, "green", bytesOf("aabb"), -2, 64] as const
    assert.strictEqual(hexOf(codec.encode(value)), "ff0102aabb038001")
    assert.deepStrictEqual(Result.getOrThrow(codec.decode(bytesOf("ff0102aabb038001"))), value)
  })

  it("sorts the keys of a map by number or by UTF-8, and the last of repeated keys wins", () => {
    const codec = Postcard.codec(map)
    const keys = ["\u{1F3A5}", "\uFFFD", "b", "a", ""]
    const bytes = codec.encode(new Map(keys.map((key, index) => [key, index])))
    assert.deepStrictEqual([...Result.getOrThrow(codec.decode(bytes)).keys()], ["", "a", "b", "\uFFFD", "\u{1F3A5}"])
    assert.deepStrictEqual(Result.getOrThrow(codec.decode(bytesOf("02016101016102"))), new Map([["a", 2]]))
    const numbers = Postcard.codec(Schema.ReadonlyMap(Postcard.u64, Schema.Boolean))
    assert.strictEqual(
      hexOf(
        numbers.encode(
          new Map([
            [256n, true],
            [3n, false]
          ])
        )
      ),
      "020300800201"
    )
  })

  it("keeps its form under further checks, brands and annotations", () => {
    const Port = Postcard.u16.check(Schema.isGreaterThan(0)).pipe(Schema.brand("Port")).annotate({ title: "port" })
    assert.strictEqual(hexOf(Postcard.codec(Schema.Array(Port)).encode([Port.make(1024)])), "018008")
  })

  it("refuses bytes left over only when asked to", () => {
    const codec = Postcard.codec(Postcard.u8)
    assert.strictEqual(Result.getOrThrow(codec.decode(bytesOf("0102"))), 1)
    assert.deepInclude(Result.getOrThrow(Result.flip(codec.decode(bytesOf("0102"), { trailing: "refuse" }))), {
      offset: 1,
      expected: "the end, 1 bytes are left over"
    })
  })

  it("never believes a count: items are counted against what is left before anything is allocated", () => {
    const codec = Postcard.codec(Schema.Array(Postcard.fixed(32)))
    const error = Result.getOrThrow(Result.flip(codec.decode(new Uint8Array([2, ...new Uint8Array(63)]))))
    assert.deepInclude(error, { offset: 0, expected: "at most 1 items, 63 bytes are left" })
    for (const hostile of ["ffffffffffffffffff01", "ffffffff0f", "8080808010"]) {
      for (const schema of [Schema.Array(Postcard.u8), map, Schema.String, Postcard.bytes]) {
        assert.isTrue(Result.isFailure(Postcard.codec(schema).decode(bytesOf(hostile))))
      }
    }
  })

  it("takes a schema that has no form for a bug, and says what to use", () => {
    for (const [schema, advice] of [
      [Schema.Number, "annotate it"],
      [Schema.Struct({ a: Schema.optionalKey(Postcard.u8) }), "Schema.UndefinedOr instead of optional"],
      [Schema.Record(Schema.String, Postcard.u8), "Schema.ReadonlyMap instead of a record"],
      [Schema.Array(Schema.Literal("x")), "items that take no bytes cannot be counted safely"],
      [Schema.Union([Schema.String, Postcard.u8]), "its members are tagged structs or literals"],
      [Schema.TupleWithRest(Schema.Tuple([Postcard.u8]), [Postcard.u8]), "a sequence has items of one kind only"]
    ] as const) {
      assert.throws(() => Postcard.codec(schema), advice)
    }
  })

  it("takes a value that the schema does not allow for a bug", () => {
    assert.throws(() => Postcard.codec(Postcard.fixed(2)).encode(new Uint8Array(3)), RangeError)
    assert.throws(() => Postcard.codec(Postcard.u8).encode(256), RangeError)
  })

  it("gives back every value of a schema", () => {
    const schema = Schema.Struct({
      message: Message,
      id: Postcard.fixed(32),
      stamp: Postcard.u64,
      size: Postcard.u53,
      delta: Postcard.i64,
      names: map,
      pair: Schema.Tuple([Postcard.u16, Schema.Boolean]),
      color: Schema.Literals(["red", "green", "blue"]),
      payload: Postcard.bytes
    })
    const codec = Postcard.codec(schema)
    const text = fc.string({ unit: "binary", maxLength: 20 })
    const value = fc.record({
      message: fc.oneof(
        fc.nat(0xffff_ffff).map((seq) => Ping.make({ seq })),
        fc
          .record({
            id: fc.uint8Array({ minLength: 2, maxLength: 2 }),
            tags: fc.array(text, { maxLength: 4 }),
            hops: fc.option(fc.nat(), { nil: undefined })
          })
          .map((fields) => Data.make(fields))
      ),
      id: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      stamp: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      size: fc.maxSafeNat(),
      delta: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      names: fc.array(fc.tuple(text, fc.nat(0xffff_ffff)), { maxLength: 5 }).map((entries) => new Map(entries)),
      pair: fc.tuple(fc.nat(0xffff), fc.boolean()),
      color: fc.constantFrom("red", "green", "blue"),
      payload: fc.uint8Array({ maxLength: 200 })
    })
    fc.assert(
      fc.property(value, (value) => {
        const encoded = codec.encode(value)
        const decoded = Result.getOrThrow(codec.decode(encoded, { trailing: "refuse" }))
        assert.deepStrictEqual(decoded, value)
        // cut anywhere, it is a typed refusal
        const cut = codec.decode(encoded.subarray(0, encoded.length - 1))
        assert.isTrue(Result.isFailure(cut))
      }),
      { numRuns: 200 }
    )
  })
})
