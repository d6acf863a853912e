import { defineConfig } from "vitest/config"

const conditions = ["@effect-live/source", "module", "node", "development|production"]

export default defineConfig({
  root: import.meta.dirname,
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["**/*.test.ts"],
    // Most of the time goes by in waiting: for the idle timeouts of peers that were killed, and at the pace of what is published.
    maxConcurrency: 8,
    maxWorkers: 2,
    testTimeout: 90_000
  }
})
