import { readdirSync } from "node:fs"
import { defineConfig } from "vitest/config"

const conditions = ["@effect-live/source", "module", "node", "development|production"]
const projects = ["packages", "apps"].flatMap((folder) =>
  readdirSync(new URL(folder, import.meta.url)).map((name) => ({
    extends: true as const,
    root: `${folder}/${name}`,
    test: { name, include: ["test/**/*.test.ts"] }
  }))
)

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: { projects, passWithNoTests: true }
})
