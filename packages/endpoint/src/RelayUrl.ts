/** The address of a relay: an absolute URL in the normal form of the WHATWG, which is what is stored, compared and sent. */
import { Brand, Result, Schema } from "effect"

/** Not an absolute URL: no scheme, no host where the scheme needs one, or a port out of range. Never quotes it. */
export class RelayUrlError extends Schema.TaggedError<RelayUrlError>()("RelayUrlError", {}) {
  override get message(): string {
    return "a relay is named by an absolute URL such as https://relay.example.com/"
  }
}

const isNormal = (text: string): boolean => URL.parse(text)?.href === text

export const RelayUrl = Schema.String.check(
  Schema.makeFilter(isNormal, { expected: "an absolute URL in its normal form" })
).pipe(Schema.brand("RelayUrl"))
export type RelayUrl = typeof RelayUrl.Type

/** Normalises: lower-case scheme and host, no default port, a path; a trailing dot of the host stays and makes another relay. */
export const parse = (text: string): Result.Result<RelayUrl, RelayUrlError> => {
  const url = URL.parse(text)
  return url === null ? Result.fail(new RelayUrlError()) : Result.succeed(normalised(url.href))
}

const normalised = Brand.nominal<RelayUrl>()
