/** From plain data to a complete configuration, or to everything that is wrong with it. */
import { atOnce, type Pieces } from '../pieces.ts'
import { completed, decoded } from './complete.ts'
import { partsOf } from './parts.ts'
import { membersOf, parentOf, pointerTo, type ConfigProblem } from './problems.ts'
import { isPlain, type Plain } from './plain.ts'
import { ConfigSchema } from './schema.ts'
import type { Config } from './schema.ts'
import { checkMeaning } from './semantic-checks.ts'
import { fits, memberSchema, schemaNode, unknownOption, validate } from './validate.ts'
import type { SchemaNode } from './validate.ts'

export type Resolution = { readonly ok: true, readonly config: Config } | { readonly ok: false, readonly problems: ConfigProblem[] }

const schema = schemaNode(ConfigSchema)
const { routes: routesSchema, upstreams: upstreamsSchema } = schema.properties as Record<'routes' | 'upstreams', SchemaNode>
const routeSchema = routesSchema.items as SchemaNode
const upstreamSchema = memberSchema(upstreamsSchema, '') as SchemaNode
/** The same without what there may be thousands of, which is done one at a time. */
const frameSchema: SchemaNode = {
  ...schema,
  properties: { ...schema.properties, routes: withoutMembers(routesSchema), upstreams: withoutMembers(upstreamsSchema) }
}

/** Completes, checks and decodes `tree`, which is left as it is. `reported` are places already known to be wrong. */
export function resolveTree (tree: unknown, reported?: ReadonlySet<string>): Resolution {
  return atOnce(resolvePieces(tree, reported))
}

/** The same for `inPieces`. */
export function * resolvePieces (tree: unknown, reported: ReadonlySet<string> = new Set()): Pieces<Resolution> {
  const complete = yield * completedPieces(tree)
  const problems: ConfigProblem[] = []
  yield * validatePieces(complete, problem => {
    if (!reported.has(problem.path)) problems.push(problem)
  })
  if (!isPlain(complete)) return { ok: false, problems }

  // A rule that joins options says nothing where one of them is wrong in itself.
  const wrong = [...reported, ...problems.map(({ path }) => path)]
  const parts = yield * partsOf(complete, wrong)
  yield * checkMeaning(parts, problem => {
    if (!wrong.some(path => isWithin(path, problem.path) || isWithin(problem.path, path))) problems.push(problem)
  })
  if (problems.length > 0 || reported.size > 0) return { ok: false, problems }
  // It fits the schema, of which `Config` is the decoded type.
  const frame = decoded(frameSchema, { ...complete, routes: [], upstreams: {} }) as Config
  return { ok: true, config: { ...frame, upstreams: Object.fromEntries(parts.upstreams) as Config['upstreams'], routes: parts.routes as Config['routes'] } }
}

function withoutMembers (schema: SchemaNode): SchemaNode {
  const { items, patternProperties, ...frame } = schema
  return frame
}

function * completedPieces (tree: unknown): Pieces<unknown> {
  const frame = completed(frameSchema, tree)
  if (!isPlain(frame)) return frame
  const { routes, upstreams } = frame
  if (Array.isArray(routes)) {
    const list: unknown[] = frame['routes'] = []
    for (const route of routes as readonly unknown[]) {
      list.push(completed(routeSchema, route))
      yield
    }
  }
  if (isPlain(upstreams)) {
    const byName: Plain = frame['upstreams'] = {}
    for (const [name, upstream] of Object.entries(upstreams)) {
      byName[name] = completed(upstreamSchema, upstream)
      yield
    }
  }
  return frame
}

function * validatePieces (complete: unknown, report: (problem: ConfigProblem) => void): Pieces<void> {
  const misnamed = new Set<string>()
  validate(frameSchema, complete, '', problem => {
    if (problem.rule === 'name') misnamed.add(problem.path)
    report(problem)
  })
  if (!isPlain(complete)) return
  const { routes, upstreams } = complete
  for (const [index, route] of (Array.isArray(routes) ? routes as readonly unknown[] : []).entries()) {
    validate(routeSchema, route, `/routes/${index}`, report)
    yield
  }
  for (const [name, upstream] of isPlain(upstreams) ? Object.entries(upstreams) : []) {
    const place = pointerTo('/upstreams', name)
    if (!misnamed.has(place)) validate(upstreamSchema, upstream, place, report)
    yield
  }
}

function isWithin (path: string, ancestor: string): boolean {
  return ancestor !== '' && (path === ancestor || path.startsWith(`${ancestor}/`))
}

/**
 * Numbers and switches come from the environment as text. Where the schema at a place does not take the text as it
 * is but takes the number or switch that it spells, that is meant.
 */
export function fromText (text: string, path: string): string | number | boolean {
  const schema = schemaAt(path)
  if (schema === undefined || fits(schema, text)) return text
  const trimmed = text.trim()
  const spelled = trimmed === 'true' || trimmed === 'false' ? trimmed === 'true' : /^-?\d+(\.\d+)?$/.test(trimmed) ? Number(trimmed) : text
  // Out of bounds is still meant as a number, and the report then says the bound.
  const kind = typeof spelled
  return fits(schema, spelled) || kindsOf(schema).includes(kind) ? spelled : text
}

/** What is wrong with an option without a value, which is in no tree, at a place: nothing, or that there is none of its name. */
export function unknownAt (path: string): ConfigProblem[] {
  const parent = schemaAt(parentOf(path))
  const section = parent?.anyOf?.find(branch => branch.type === 'object') ?? parent
  const name = membersOf(path).at(-1) ?? ''
  return section?.properties === undefined || Object.hasOwn(section.properties, name) ? [] : [unknownOption(path, name, section.properties)]
}

/** The schema of a place, or `undefined` where there is none. */
function schemaAt (path: string): SchemaNode | undefined {
  let schema: SchemaNode | undefined = schemaNode(ConfigSchema)
  for (const name of membersOf(path)) {
    schema = schema?.anyOf === undefined ? schema : schema.anyOf.find(branch => branch.type === (/^\d+$/.test(name) ? 'array' : 'object')) ?? schema.anyOf.find(branch => branch.type === 'object')
    schema = schema && memberSchema(schema, name)
  }
  return schema
}

function kindsOf (schema: SchemaNode): string[] {
  return (schema.anyOf ?? [schema]).map(({ type }) => type === 'integer' ? 'number' : type ?? '')
}
