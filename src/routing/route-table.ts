/**
 * Finds the route of a request: a trie of path segments for each host, walked from the most specific side, so
 * that the first route found is the preferred one (the order is stated in `specificity.ts`).
 *
 * The work of a lookup is bounded by the routes and the depth of their patterns, not by the length of the path;
 * names from the wire are looked up in Maps only, never as properties.
 */
import { atOnce, type Pieces } from '../pieces.ts'
import type { MatchConfig } from '../config/schema.ts'
import { placesOf } from './specificity.ts'
import type { Place } from './specificity.ts'

export interface RouteTable<R> {
  /**
   * The value of the most specific route, or `null`. `host` is without port, in any letter case; `path` is
   * normalised, without query, or `*` (RFC 9112 3.2.4), which only `/*` matches.
   */
  match (host: string, path: string, method: string): R | null
  /** The methods that some route accepts for this host and path, for `Allow`; `['*']` if any is. */
  allows (host: string, path: string): string[]
}

interface Entry<R> { readonly match: MatchConfig, readonly value: R }

/** What is at one place: routes for named methods, and at most one for all others. */
interface Leaf<R> { readonly named: Map<string, R>, any: R | null }

interface Node<R> {
  texts: Map<string, Node<R>> | null
  param: Node<R> | null
  /** The pattern ends here. */
  end: Leaf<R> | null
  /** The pattern goes on here with `/*`. */
  rest: Leaf<R> | null
}

/** Decides at a leaf: a value ends the walk, `null` lets it go on to less specific places. */
type Visit<R> = (leaf: Leaf<R>, method: string) => R | null

/** Builds the table. Of two routes for the same requests the first one counts; validation refuses such a pair. */
export function createRouteTable<R> (routes: ReadonlyArray<Entry<R>>): RouteTable<R> {
  return atOnce(routeTablePieces(routes))
}

/** The same for `inPieces`. */
export function * routeTablePieces<R> (routes: ReadonlyArray<Entry<R>>): Pieces<RouteTable<R>> {
  const exact = new Map<string, Node<R>>()
  const wildcards = new Map<string, Node<R>>()
  const anyHost = createNode<R>()

  for (const { match, value } of routes) {
    for (const place of placesOf(match)) addPlace(rootOf(place), place, value)
    yield
  }

  function rootOf ({ host }: Place): Node<R> {
    if (host === null) return anyHost
    const roots = host.wildcard ? wildcards : exact
    let root = roots.get(host.name)
    if (root === undefined) roots.set(host.name, root = createNode<R>())
    return root
  }

  function walk (host: string, path: string, method: string, visit: Visit<R>): R | null {
    if (exact.size > 0 || wildcards.size > 0) {
      const name = host.toLowerCase()
      const root = exact.get(name)
      const found = root === undefined ? null : walkPath(root, path, method, visit)
      if (found !== null) return found

      if (wildcards.size > 0) {
        // From the left: the first suffix found is the longest. A dot in front would leave an empty label.
        for (let dot = name.indexOf('.', 1); dot !== -1; dot = name.indexOf('.', dot + 1)) {
          const wildcard = wildcards.get(name.slice(dot + 1))
          const found = wildcard === undefined ? null : walkPath(wildcard, path, method, visit)
          if (found !== null) return found
        }
      }
    }
    return walkPath(anyHost, path, method, visit)
  }

  return {
    match: (host, path, method) => walk(host, path, method, forMethod),
    allows (host, path) {
      const methods = new Set<string>()
      walk(host, path, '', leaf => {
        for (const method of leaf.named.keys()) methods.add(method)
        if (leaf.any !== null) methods.add('*')
        return null
      })
      return methods.has('*') ? ['*'] : [...methods].sort()
    }
  }
}

function addPlace<R> (root: Node<R>, place: Place, value: R): void {
  let node = root
  for (const segment of place.path.segments) {
    if (segment.kind === 'param') {
      node = node.param ??= createNode<R>()
      continue
    }
    node.texts ??= new Map()
    let next = node.texts.get(segment.text)
    if (next === undefined) node.texts.set(segment.text, next = createNode<R>())
    node = next
  }

  const leaf = place.path.rest ? (node.rest ??= createLeaf<R>()) : (node.end ??= createLeaf<R>())
  if (place.methods === null) leaf.any ??= value
  else for (const method of place.methods) if (!leaf.named.has(method)) leaf.named.set(method, value)
}

function walkPath<R> (root: Node<R>, path: string, method: string, visit: Visit<R>): R | null {
  if (path.charCodeAt(0) !== 0x2f) return path === '*' && root.rest !== null ? visit(root.rest, method) : null
  return descend(root, path, 1, method, visit)
}

/** `from` is where the next segment begins, one beyond the path's length when there is none. */
function descend<R> (node: Node<R>, path: string, from: number, method: string, visit: Visit<R>): R | null {
  if (from > path.length) {
    const found = node.end === null ? null : visit(node.end, method)
    if (found !== null) return found
  } else if (node.texts !== null || node.param !== null) {
    const slash = path.indexOf('/', from)
    const to = slash === -1 ? path.length : slash

    const next = node.texts?.get(path.slice(from, to))
    const found = next === undefined ? null : descend(next, path, to + 1, method, visit)
    if (found !== null) return found

    // A name stands for a segment that is not empty: `/users/` is no user.
    if (node.param !== null && to > from) {
      const found = descend(node.param, path, to + 1, method, visit)
      if (found !== null) return found
    }
  }
  return node.rest === null ? null : visit(node.rest, method)
}

function forMethod<R> (leaf: Leaf<R>, method: string): R | null {
  return leaf.named.get(method) ?? leaf.any
}

function createNode<R> (): Node<R> {
  return { texts: null, param: null, end: null, rest: null }
}

function createLeaf<R> (): Leaf<R> {
  return { named: new Map(), any: null }
}
