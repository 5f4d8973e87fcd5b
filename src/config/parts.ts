/** The parts of a configuration, each decoded by itself, so that one that is wrong hides nothing about the others. */
import type { TSchema } from 'typebox'
import type { Pieces } from '../pieces.ts'
import { completed, decoded } from './complete.ts'
import { isPlain } from './plain.ts'
import type { Plain } from './plain.ts'
import { parentOf, pointerTo } from './problems.ts'
import { ConfigSchema } from './schema.ts'
import type { Config } from './schema.ts'
import type { ConfigParts } from './semantic-checks.ts'
import { schemaNode, validate } from './validate.ts'

/** Sections within sections of the schema. */
const deepest = 8

/**
 * Decodes each part of a completed tree without the options at the pointers in `wrong`, which are all that do not fit the
 * schema; a part that is of no use without them is `null`.
 */
export function * partsOf (tree: Plain, wrong: readonly string[]): Pieces<ConfigParts> {
  const { properties } = ConfigSchema
  const upstreamSchema = properties.upstreams.patternProperties['^.*$'] as unknown as TSchema
  const part = (schema: TSchema, value: unknown, place: string, standIns: Plain = {}) => {
    const here = wrong.filter(path => path === place || path.startsWith(`${place}/`))
    if (here.length === 0) return decoded(schemaNode(schema), value)
    return decodeWithout(schema, value, here.filter(path => path !== place).map(path => path.slice(place.length)), standIns)
  }
  const upstreams = new Map<string, Config['upstreams'][string] | null>()
  for (const [name, upstream] of isPlain(tree.upstreams) ? Object.entries(tree.upstreams) : []) {
    upstreams.set(name, part(upstreamSchema, upstream, pointerTo('/upstreams', name)) as Config['upstreams'][string] | null)
    yield
  }
  const routes: Array<Config['routes'][number] | null> = []
  for (const [index, route] of (Array.isArray(tree.routes) ? tree.routes as readonly unknown[] : []).entries()) {
    // Nothing is said of the stand-ins themselves, as their absence is already told.
    const standIns = { name: `unnamed-route-${index}`, upstream: 'unnamed-upstream' }
    routes.push(part(properties.routes.items, route, `/routes/${index}`, standIns) as Config['routes'][number] | null)
    yield
  }
  return {
    server: part(properties.server, tree.server, '/server') as Config['server'] | null,
    admin: part(properties.admin, tree.admin, '/admin') as Config['admin'] | null,
    // The default would be held against the size of responses in place of what was meant.
    cache: wrong.includes('/cache/maxBytes') ? null : part(properties.cache, tree.cache, '/cache') as Config['cache'] | null,
    access: tree.access === undefined ? undefined : part(properties.access, tree.access, '/access') as ConfigParts['access'],
    rateLimit: tree.rateLimit === undefined ? undefined : part(properties.rateLimit, tree.rateLimit, '/rateLimit') as ConfigParts['rateLimit'],
    upstreams,
    routes
  }
}

function decodeWithout (schema: TSchema, value: unknown, wrong: readonly string[], standIns: Plain): unknown {
  const node = schemaNode(schema)
  const places = new Set(wrong)
  // Where a section cannot be without the option, the section goes, and so on outwards.
  for (let depth = 0; depth < deepest; depth++) {
    const pruned = places.size === 0 ? value : completed(node, without(value, places, standIns))
    const missing: string[] = []
    validate(node, pruned, '', ({ path }) => missing.push(parentOf(path)))
    if (missing.length === 0) return decoded(node, pruned)
    if (missing.includes('')) return null
    for (const path of missing) places.add(path)
  }
  return null
}

/** A copy without the members at the pointers. A list goes as a whole: the places of its other entries would shift. */
function without (value: unknown, wrong: ReadonlySet<string>, standIns: Plain = {}): unknown {
  if (!isPlain(value)) return value
  const copy: Plain = { ...standIns }
  for (const [name, member] of Object.entries(value)) {
    const place = pointerTo('', name)
    const inside = [...wrong].filter(path => path.startsWith(`${place}/`)).map(path => path.slice(place.length))
    if (wrong.has(place) || (inside.length > 0 && !isPlain(member))) continue
    copy[name] = inside.length === 0 ? member : without(member, new Set(inside))
  }
  return copy
}
