/**
 * A collection on request. The binding gives a port back only when the JavaScript object of its closed endpoint is collected,
 * which may take minutes; whoever binds the same port again cannot wait for that.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

export const collectGarbage = (): void => {
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
  setFlagsFromString("--no-expose-gc")
}
