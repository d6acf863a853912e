#!/usr/bin/env node
/** `irl`, the command line of effect-live: runMain and Layers, nothing else. */
import { enableCompileCache } from "node:module"

// Before anything else is loaded, so that the second start finds everything compiled.
enableCompileCache()
const { main } = await import("./Irl.ts")
main(process.argv.slice(2))
