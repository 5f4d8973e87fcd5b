/** Adds up the numbers of several processes. */

type Tree = unknown

/** Numbers are summed, members and list places each by themselves; what is true must be so everywhere; text stays as it is. */
export function addUp (trees: readonly Tree[]): Tree {
  const [first, ...rest] = trees
  return rest.reduce<Tree>(add, first)
}

function add (a: Tree, b: Tree): Tree {
  if (a === undefined || b === undefined) return a ?? b
  if (typeof a === 'number' && typeof b === 'number') return a + b
  if (typeof a === 'boolean' && typeof b === 'boolean') return a && b
  if (Array.isArray(a) && Array.isArray(b)) return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => add(a[i], b[i]))
  if (isObject(a) && isObject(b)) {
    return Object.fromEntries([...new Set([...Object.keys(a), ...Object.keys(b)])].map(name => [name, add(a[name], b[name])]))
  }
  return a
}

function isObject (value: Tree): value is Record<string, Tree> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
