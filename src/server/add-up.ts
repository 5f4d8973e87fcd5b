/** Adds up the numbers of several processes. */

type Tree = unknown

/**
 * Numbers are summed, members and list places each by themselves; what is true must be so everywhere; text stays as it is.
 * By the end of its name a member that no sum says anything of is the mean (`...Ratio`), the longest (`...Ms`) or the
 * earliest (`...At`, null before all).
 */
export function addUp (trees: readonly Tree[]): Tree {
  return combine(trees, '')
}

function combine (trees: readonly Tree[], name: string): Tree {
  const values: readonly Tree[] = trees.filter(value => value !== undefined)
  const [first] = values
  if (name.endsWith('At')) return values.includes(null) ? null : (values as string[]).sort()[0]
  if (isAll(values, isNumber)) {
    if (name.endsWith('Ms')) return Math.max(...values)
    const sum = values.reduce((sum, value) => sum + value, 0)
    return name.endsWith('Ratio') ? sum / values.length : sum
  }
  if (isAll(values, isBoolean)) return values.every(Boolean)
  if (isAll(values, Array.isArray)) return Array.from({ length: Math.max(...values.map(({ length }) => length)) }, (_, i) => combine(values.map(value => value[i]), ''))
  if (isAll(values, isObject)) {
    const names = new Set(values.flatMap(value => Object.keys(value)))
    return Object.fromEntries([...names].map(name => [name, combine(values.map(value => value[name]), name)]))
  }
  return first
}

function isAll<T> (values: readonly Tree[], is: (value: Tree) => value is T): values is readonly T[] {
  return values.length > 0 && values.every(is)
}

const isNumber = (value: Tree): value is number => typeof value === 'number'
const isBoolean = (value: Tree): value is boolean => typeof value === 'boolean'
const isObject = (value: Tree): value is Record<string, Tree> => typeof value === 'object' && value !== null && !Array.isArray(value)
