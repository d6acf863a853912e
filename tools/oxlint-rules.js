/**
 * The house's own law as lint rules: which package may import which, where the platform may be touched, and that time and
 * chance come from services.
 */

/** What each room may import, with whatever those may import in turn. The table of ARCHITECTURE.md. */
const floors = {
  wire: [],
  actor: [],
  sim: ["actor"],
  endpoint: ["wire", "actor", "sim"],
  native: [],
  "endpoint-iroh": ["endpoint", "native"],
  moq: ["endpoint"],
  gossip: ["endpoint"],
  media: ["moq"],
  live: ["media"],
  node: ["live", "gossip", "endpoint-iroh"],
  cli: ["node"]
}

/** Rooms whose purpose includes simulations: no bundle is made of them. */
const simulatingRooms = new Set(["cli"])

/** Rooms of the house that may use `node:*`. */
const platformRooms = new Set(["native", "endpoint-iroh", "node", "cli"])

const reachable = (room) => {
  const seen = new Set()
  const visit = (name) => {
    for (const below of floors[name] ?? []) {
      if (seen.has(below)) continue
      seen.add(below)
      visit(below)
    }
  }
  visit(room)
  return seen
}
const mayImport = new Map(Object.keys(floors).map((room) => [room, reachable(room)]))

/** The room and whether the file ships: `packages/wire/src/Reader.ts` is wire, shipped. */
const place = (filename) => {
  const match = /(?:^|\/)(?:packages|apps)\/([^/]+)\/(src|test)\//.exec(filename.replaceAll("\\", "/"))
  return match === null ? undefined : { room: match[1], shipped: match[2] === "src" }
}

const importSources = (report) => ({
  ImportDeclaration: (node) => report(node, node.source.value),
  ExportNamedDeclaration: (node) => node.source && report(node, node.source.value),
  ExportAllDeclaration: (node) => report(node, node.source.value),
  ImportExpression: (node) => node.source.type === "Literal" && report(node, String(node.source.value))
})

const floorsRule = {
  create: (context) => {
    const where = place(context.filename ?? context.getFilename())
    if (where === undefined) return {}
    const allowed = mayImport.get(where.room)
    return importSources((node, source) => {
      if (allowed === undefined) {
        context.report({
          node,
          message: `The room ${where.room} is not in the table of floors (tools/oxlint-rules.js).`
        })
        return
      }
      const match = /^@effect-live\/([^/]+)(\/.*)?$/.exec(source)
      if (match !== null) {
        if (match[1] !== where.room && !allowed.has(match[1])) {
          context.report({ node, message: `${where.room} may not import ${match[1]}: it stands on another floor.` })
        }
        const foreign = match[1] !== where.room && !simulatingRooms.has(where.room)
        if (where.shipped && match[2]?.startsWith("/testing") && foreign) {
          context.report({ node, message: "Shipped code may not import a /testing module." })
        }
      }
      if (source.startsWith("@number0/") && where.room !== "endpoint-iroh") {
        context.report({ node, message: "Only endpoint-iroh may import an iroh binding." })
      }
      if (where.shipped && source.startsWith("node:") && !platformRooms.has(where.room)) {
        context.report({ node, message: `${where.room} runs anywhere: platform access goes through services.` })
      }
    })
  }
}

const ambient = {
  "Date.now": "Clock",
  "Math.random": "Random",
  "performance.now": "Clock"
}

const noAmbientRule = {
  create: (context) => {
    const where = place(context.filename ?? context.getFilename())
    if (where === undefined || !where.shipped) return {}
    return {
      CallExpression(node) {
        const { callee } = node
        if (callee.type === "Identifier" && (callee.name === "setTimeout" || callee.name === "setInterval")) {
          context.report({ node, message: `Use Effect.sleep or an actor's timer instead of ${callee.name}.` })
        }
        if (callee.type !== "MemberExpression") return
        const name = `${callee.object.name}.${callee.property.name}`
        if (Object.hasOwn(ambient, name)) {
          context.report({ node, message: `Use the ${ambient[name]} service instead of ${name}.` })
        }
      },
      NewExpression(node) {
        if (node.callee.name === "Date" && node.arguments.length === 0) {
          context.report({ node, message: "Use the Clock service instead of new Date()." })
        }
      }
    }
  }
}

export default {
  meta: { name: "effect-live" },
  rules: { floors: floorsRule, "no-ambient": noAmbientRule }
}
