import { Export, Import } from "@effect-live/media"
import { Effect, Stream } from "effect"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { spawnSync } from "node:child_process"
const [src="", out="", fps="30"] = process.argv.slice(2)
const F = 1e6 / eval(fps)
await Effect.gen(function* () {
  const source = yield* Import.fromFile(src)
  const samples = yield* Stream.runCollect(source.samples)
  const kind = new Map(source.tracks.map(t=>[t.name,t.kind]))
  for (const [rel, com] of [0,.1,.25,.4,.45,.5,.55,.6,.75,.9].flatMap(r => [0,.25,.5].map(c=>[r,c] as const))) {
    yield* Effect.scoped(Effect.gen(function*(){
      const f = yield* Export.toFile(out, source.tracks)
      const all = samples.map(s => ({...s, ptsUs: Math.round(s.ptsUs + com*F + (kind.get(s.track)==="video" ? rel*F : 0))}))
      for (const s of all) yield* f.write(s)
      yield* f.finish
    }))
    const r = spawnSync("ffmpeg", ["-v","error","-xerror","-i",out,"-f","null","-"]).stderr.toString()
    console.log("rel",rel,"com",com, r.split("\n")[0] || "ok")
  }
}).pipe(Effect.scoped, Effect.provide(NodeServices.layer), Effect.runPromise)
