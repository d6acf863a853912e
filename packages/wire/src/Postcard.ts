/**
 * Postcard, the positional format of the Rust peers, derived from schemas: `codec` walks a schema once and composes closures, so
 * that a message is described in one place and nothing is generated at run time. No field names, no tags, no end mark.
 *
 * | schema | bytes |
 * | --- | --- |
 * | `u8`, `i8` | one byte |
 * | `u16`, `u32`, `u53`, `u64` | varint: 7 bits per byte, least significant first |
 * | `i16`, `i32`, `i64` | zigzag, then varint |
 * | `Schema.Boolean` | 00 or 01 |
 * | `Schema.String`, `bytes` | varint length, then the bytes |
 * | `fixed(n)` | n bytes, no length |
 * | `Schema.Array` | varint count, then the items |
 * | `Schema.Tuple`, `Schema.Struct`, `Schema.TaggedStruct` | the items in order |
 * | `Schema.ReadonlyMap` | varint count, then key and value, sorted by key |
 * | `Schema.UndefinedOr` | 00, or 01 and the value |
 * | `Schema.Union` of tagged structs, `Schema.Literals` | varint of the position, then the fields |
 * | any literal outside a union | nothing |
 *
 * Anything else, and whatever has its own form, is annotated with `annotate`.
 */
import { type Result, Schema, SchemaAST } from "effect"
import * as Bytes from "./Bytes.ts"
import type { DecodeError } from "./DecodeError.ts"
import { decode, type Reader } from "./Reader.ts"
import { encode, type Writer } from "./Writer.ts"

/** How a value is written inside a message. `read` returns views of its input where the value is bytes: copy what you keep. */
export interface Codec<A> {
  /** The least that a value takes: a count of items is refused when the bytes that are left cannot hold them. */
  readonly minBytes: number
  write(writer: Writer, value: A): void
  read(reader: Reader): A
}

export interface DecodeOptions {
  /** Bytes behind the value: ignored by default, as every Rust peer does. Refuse them in what only we write. */
  readonly trailing?: "ignore" | "refuse"
}

/** A codec of whole messages. */
export interface MessageCodec<A> extends Codec<A> {
  /** A view of a shared block that is never written again: copy what you keep for long. */
  readonly encode: (value: A) => Uint8Array
  readonly decode: (bytes: Uint8Array, options?: DecodeOptions) => Result.Result<A, DecodeError>
}

const annotation = "@effect-live/wire/Postcard"

/** Gives a schema its own form in postcard. The schema still validates, prints and generates as before. */
export const annotate = <S extends Schema.Top>(schema: S, codec: Codec<S["Type"]>): S["Rebuild"] =>
  schema.annotate({ [annotation]: codec })

/**
 * The codec of a schema's values, made once and kept by the caller. Decoding checks bounds and widths, not the schema's other
 * checks. Defect: a schema that has no form in postcard.
 */
export const codec = <S extends Schema.Constraint>(schema: S): MessageCodec<S["Type"]> => {
  // The only cast of the compiler: that the closures made from a schema's AST carry the schema's type.
  const { minBytes, read, write } = compile(schema.ast) as Codec<S["Type"]>
  return {
    minBytes,
    read,
    write,
    encode: (value) => encode((writer) => write(writer, value)),
    decode: (bytes, options) =>
      decode(bytes, (reader) => {
        const value = read(reader)
        if (options?.trailing === "refuse") reader.done()
        return value
      })
  }
}

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const bigInteger = (minimum: bigint, maximum: bigint) =>
  Schema.BigInt.check(Schema.isBetweenBigInt({ minimum, maximum }))

export const u8 = annotate(integer(0, 0xff), {
  minBytes: 1,
  write: (writer, value) => writer.u8(value),
  read: (reader) => reader.u8()
})
export const u16 = annotate(integer(0, 0xffff), {
  minBytes: 1,
  write: (writer, value) => writer.leb16(value),
  read: (reader) => reader.leb16()
})
export const u32 = annotate(integer(0, 0xffff_ffff), {
  minBytes: 1,
  write: (writer, value) => writer.leb32(value),
  read: (reader) => reader.leb32()
})
/** A `u64` whose values stay up to 2^53 - 1, as a `number`; larger ones are refused. */
export const u53 = annotate(integer(0, Number.MAX_SAFE_INTEGER), {
  minBytes: 1,
  write: (writer, value) => writer.leb53(value),
  read: (reader) => reader.leb53()
})
export const u64 = annotate(bigInteger(0n, 0xffff_ffff_ffff_ffffn), {
  minBytes: 1,
  write: (writer, value) => writer.leb64(value),
  read: (reader) => reader.leb64()
})
export const i8 = annotate(integer(-0x80, 0x7f), {
  minBytes: 1,
  write: (writer, value) => writer.i8(value),
  read: (reader) => reader.i8()
})
export const i16 = annotate(integer(-0x8000, 0x7fff), {
  minBytes: 1,
  write: (writer, value) => writer.zigzag16(value),
  read: (reader) => reader.zigzag16()
})
export const i32 = annotate(integer(-0x8000_0000, 0x7fff_ffff), {
  minBytes: 1,
  write: (writer, value) => writer.zigzag32(value),
  read: (reader) => reader.zigzag32()
})
export const i64 = annotate(bigInteger(-0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn), {
  minBytes: 1,
  write: (writer, value) => writer.zigzag64(value),
  read: (reader) => reader.zigzag64()
})

/** Bytes of any length. */
export const bytes = annotate(Schema.Uint8Array, {
  minBytes: 1,
  write: (writer, value) => writer.byteString(value),
  read: (reader) => reader.byteString()
})

/** Exactly `length` bytes, such as a key, a hash or a signature. */
export const fixed = (length: number) => {
  const check = Schema.makeFilter((value: Uint8Array) => value.length === length, { expected: `${length} bytes` })
  return annotate(Schema.Uint8Array.check(check), {
    minBytes: length,
    write: (writer, value) => {
      if (value.length !== length) throw new RangeError(`expected ${length} bytes, not ${value.length}`)
      writer.raw(value)
    },
    read: (reader) => reader.raw(length)
  })
}

// -----------------------------------------------------------------------------------------------------------------------------
// The compiler. Codecs of parts are `Codec<unknown>`: the AST proves that a part gets the values that it was made for.

type Part = Codec<unknown>

const isPart = (value: unknown): value is Part => typeof value === "object" && value !== null && "minBytes" in value

/** An annotation that is set after a check lands on that check. */
const annotated = (ast: SchemaAST.AST): Part | undefined =>
  [ast, ...(ast.checks ?? [])].map((node) => node.annotations?.[annotation]).find(isPart)

const compile = (ast: SchemaAST.AST): Part => {
  const own = annotated(ast)
  if (own !== undefined) return own
  switch (ast._tag) {
    case "Boolean":
      return { minBytes: 1, write: (writer, value: boolean) => writer.bool(value), read: (reader) => reader.bool() }
    case "String":
      return { minBytes: 1, write: (writer, value: string) => writer.str(value), read: (reader) => reader.str() }
    case "Literal": {
      const { literal } = ast
      return { minBytes: 0, write: () => {}, read: () => literal }
    }
    case "Objects":
      return struct(ast)
    case "Arrays":
      return ast.rest.length === 0 ? tuple(ast) : sequence(ast)
    case "Union":
      return union(ast)
    case "Declaration":
      return map(ast)
    default:
      return unsupported(ast, "annotate it")
  }
}

const unsupported = (ast: SchemaAST.AST, advice: string): never => {
  throw new TypeError(`a schema of kind ${ast._tag} has no form in postcard: ${advice}`)
}

type Fields = Record<string, unknown>

const struct = (ast: SchemaAST.Objects): Part => {
  if (ast.indexSignatures.length > 0) return unsupported(ast, "use Schema.ReadonlyMap instead of a record")
  const fields = ast.propertySignatures.map(({ name, type }) => {
    if (typeof name !== "string" || SchemaAST.isOptional(type)) {
      return unsupported(ast, "fields have string names, and Schema.UndefinedOr instead of optional")
    }
    return { name, part: compile(type) }
  })
  const empty: Fields = Object.fromEntries(fields.map(({ name }) => [name, undefined]))
  return {
    minBytes: total(fields.map(({ part }) => part)),
    write: (writer, value: Fields) => {
      for (const { name, part } of fields) part.write(writer, value[name])
    },
    read: (reader) => {
      const value = { ...empty }
      for (const { name, part } of fields) value[name] = part.read(reader)
      return value
    }
  }
}

const tuple = (ast: SchemaAST.Arrays): Part => {
  if (ast.elements.some(SchemaAST.isOptional)) return unsupported(ast, "a tuple has no optional items")
  const parts = ast.elements.map(compile)
  return {
    minBytes: total(parts),
    write: (writer, value: ReadonlyArray<unknown>) => {
      for (const [index, part] of parts.entries()) part.write(writer, value[index])
    },
    read: (reader) => parts.map((part) => part.read(reader))
  }
}

const sequence = (ast: SchemaAST.Arrays): Part => {
  const [rest, ...others] = ast.rest
  if (rest === undefined || others.length > 0 || ast.elements.length > 0) {
    return unsupported(ast, "a sequence has items of one kind only")
  }
  const item = compile(rest)
  if (item.minBytes === 0) return unsupported(ast, "items that take no bytes cannot be counted safely")
  return {
    minBytes: 1,
    write: (writer, value: ReadonlyArray<unknown>) => {
      writer.leb53(value.length)
      for (const each of value) item.write(writer, each)
    },
    read: (reader) => {
      const count = reader.count(item.minBytes)
      const value: Array<unknown> = []
      for (let index = 0; index < count; index++) value.push(item.read(reader))
      return value
    }
  }
}

const map = (ast: SchemaAST.Declaration): Part => {
  const [keyAst, valueAst, ...others] = ast.typeParameters
  if (keyAst === undefined || valueAst === undefined || others.length > 0) return unsupported(ast, "annotate it")
  const [key, value] = [compile(keyAst), compile(valueAst)]
  if (key.minBytes + value.minBytes === 0)
    return unsupported(ast, "entries that take no bytes cannot be counted safely")
  return {
    minBytes: 1,
    write: (writer, entries: ReadonlyMap<unknown, unknown>) => {
      writer.leb53(entries.size)
      for (const [k, v] of [...entries].toSorted(([a], [b]) => keyOrder(a, b))) {
        key.write(writer, k)
        value.write(writer, v)
      }
    },
    read: (reader) => {
      const count = reader.count(key.minBytes + value.minBytes)
      const entries = new Map<unknown, unknown>()
      for (let index = 0; index < count; index++) entries.set(key.read(reader), value.read(reader))
      return entries
    }
  }
}

/** The order of Rust's sorted maps: integers by value, text by its UTF-8 bytes. */
const keyOrder = (a: unknown, b: unknown): number => {
  if (typeof a === "number" && typeof b === "number") return a - b
  if (typeof a === "bigint" && typeof b === "bigint") return a < b ? -1 : a > b ? 1 : 0
  if (typeof a === "string" && typeof b === "string") return Bytes.compare(textEncoder.encode(a), textEncoder.encode(b))
  throw new TypeError("keys of a map in postcard are strings or integers")
}
const textEncoder = new TextEncoder()

const union = (ast: SchemaAST.Union): Part => {
  const [first, second, ...others] = ast.types
  if (first !== undefined && second?._tag === "Undefined" && others.length === 0) return option(compile(first))
  const parts = ast.types.map(compile)
  const names = ast.types.map((member): unknown => {
    if (member._tag === "Literal") return member.literal
    const tag =
      member._tag === "Objects" ? member.propertySignatures.find(({ name }) => name === "_tag")?.type : undefined
    return tag?._tag === "Literal" ? tag.literal : unsupported(ast, "its members are tagged structs or literals")
  })
  return {
    minBytes: 1 + Math.min(...parts.map((part) => part.minBytes)),
    write: (writer, value: unknown) => {
      const index = names.indexOf(isTagged(value) ? value._tag : value)
      const part = parts[index]
      if (part === undefined) throw new TypeError("not a member of the union")
      writer.leb32(index)
      part.write(writer, value)
    },
    read: (reader) => {
      const start = reader.offset
      const part = parts[reader.leb32()]
      return part === undefined ? reader.fail(`a variant from 0 to ${parts.length - 1}`, start) : part.read(reader)
    }
  }
}

const isTagged = (value: unknown): value is { readonly _tag: string } =>
  typeof value === "object" && value !== null && "_tag" in value

const option = (part: Part): Part => ({
  minBytes: 1,
  write: (writer, value: unknown) => {
    writer.bool(value !== undefined)
    if (value !== undefined) part.write(writer, value)
  },
  read: (reader) => (reader.bool() ? part.read(reader) : undefined)
})

const total = (parts: ReadonlyArray<Part>): number => parts.reduce((sum, part) => sum + part.minBytes, 0)
