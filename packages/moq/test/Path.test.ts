import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as Limits from "../src/Limits.ts"
import * as Path from "../src/Path.ts"

const segments = fc.array(fc.constantFrom("room", "rooms", "ada", "ü", " "), { maxLength: 5 })

describe("a path", () => {
  it("is normalised: no slash at the ends, no runs of slashes", () => {
    assert.strictEqual(Path.normalize("//room///ada/"), "room/ada")
    assert.strictEqual(Path.normalize("/"), "")
  })

  it("is a prefix by whole segments", () => {
    assert.isTrue(Path.isPrefix("foo", "foo"))
    assert.isTrue(Path.isPrefix("foo", "foo/bar"))
    assert.isFalse(Path.isPrefix("foo", "foobar"))
    assert.isTrue(Path.isPrefix("", "anything"))
    assert.strictEqual(Path.suffix("foo", "foo"), "")
    assert.strictEqual(Path.suffix("foo", "foo/bar"), "bar")
    assert.strictEqual(Path.suffix("", "foo"), "foo")
    assert.isUndefined(Path.suffix("foo", "foobar"))
  })

  it("splits into prefix and suffix and joins again", () =>
    fc.assert(
      fc.property(segments, segments, (left, right) => {
        const [prefix, suffix] = [left.join("/"), right.join("/")]
        const path = Path.join(prefix, suffix)
        assert.strictEqual(path, [...left, ...right].join("/"))
        assert.strictEqual(Path.suffix(prefix, path), suffix)
        assert.strictEqual(Path.normalize(`/${path}//`), path)
      })
    ))

  it("has at most pathSegments segments and nameBytes bytes", () => {
    const segments = Array.from({ length: Limits.pathSegments }, () => "x")
    assert.isUndefined(Path.fault(segments.join("/")))
    assert.isDefined(Path.fault([...segments, "x"].join("/")))
    assert.isUndefined(Path.fault("x".repeat(Limits.nameBytes)))
    assert.isDefined(Path.fault("ü".repeat(Limits.nameBytes / 2 + 1)))
  })
})
