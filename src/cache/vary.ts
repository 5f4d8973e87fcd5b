/** What `Vary` adds to the cache key, and which stored response a request selects by it (RFC 9111 section 4.1). */
import { fieldValue, type FieldMap } from '../http/fields.ts'
import { remembering } from '../http/remembered.ts'
import { normaliseChoices, preferredChoices } from './preferences.ts'

/**
 * How request fields are compared: `exact` up to white space around commas; `normalise` also up to letter case, the
 * spelling of weights and the order where no server takes it for a preference; `meaning` up to the order of everything of
 * equal weight, and by `Content-Language` or `Content-Encoding` where that says which stored response fits.
 */
export type VaryMode = 'exact' | 'normalise' | 'meaning'

/** One request field that a response was selected by. */
export interface SelectingField {
  /** Lower case. */
  readonly name: string
  /** As the request had it, lines combined; undefined where it was absent. */
  readonly raw: string | undefined
  /** In the spelling in which it is compared. */
  readonly value: string | undefined
}

/** Names that a `Vary` may list; with more the response is taken as one that fits no other request. */
const maxVaryNames = 64

/** Lower-case names in `Vary`, sorted and without repetition; `*` when it is anywhere in the list or is unreadable. */
export function varyNames (fields: FieldMap): '*' | readonly string[] {
  const value = fieldValue(fields, 'vary')
  return value === undefined ? [] : readNames(value)
}

const readNames = remembering((value: string): '*' | readonly string[] => {
  const names = new Set<string>()
  for (const member of value.split(',')) {
    const name = member.trim().toLowerCase()
    if (name === '') continue
    // `__proto__` is no field that Node's request fields could hold: its values could not be told apart.
    if (name === '*' || name === '__proto__' || !/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return '*'
    names.add(name)
    if (names.size > maxVaryNames) return '*'
  }
  return [...names].sort()
}, 200)

function rawValue (request: FieldMap, name: string): string | undefined {
  // Node's request fields have a prototype: what `Vary: constructor` finds there is not a field.
  return Object.hasOwn(request, name) ? fieldValue(request, name) : undefined
}

/** Fields in which a comma divides nothing: white space beside it belongs to the value. */
const noLists: ReadonlySet<string> = new Set(['authorization', 'cookie', 'from', 'if-modified-since', 'if-range', 'if-unmodified-since', 'origin', 'referer', 'user-agent'])

/** The value a request selects by, in the spelling in which two are compared. */
export function selectingValue (raw: string | undefined, name: string, mode: VaryMode): string | undefined {
  if (raw === undefined) return undefined
  if (mode !== 'exact') {
    const normalised = normaliseChoices(name, raw, mode === 'meaning')
    if (normalised !== null) return normalised
  }
  // White space around commas means nothing in a list, unless it may be part of a quoted string.
  if (!raw.includes(',') || raw.includes('"') || noLists.has(name)) return raw.trim()
  return raw.split(',').map(member => member.trim()).filter(member => member !== '').join(',')
}

/** The fields of a request that a response with these names in `Vary` was selected by. */
export function selectingFields (request: FieldMap, names: readonly string[], mode: VaryMode): readonly SelectingField[] {
  return names.map(name => {
    const raw = rawValue(request, name)
    return { name, raw, value: selectingValue(raw, name, mode) }
  })
}

/** Whether a request has the very values that these fields were made of. */
export function presents (request: FieldMap, selecting: readonly SelectingField[]): boolean {
  for (const { name, raw } of selecting) if (rawValue(request, name) !== raw) return false
  return true
}

/** Whether a request selects what was stored for these fields: all the same, absent ones included. */
export function selects (request: FieldMap, selecting: readonly SelectingField[], mode: VaryMode): boolean {
  for (const { name, raw, value } of selecting) {
    const presented = rawValue(request, name)
    if (presented !== raw && selectingValue(presented, name, mode) !== value) return false
  }
  return true
}

/**
 * What a request presents, to be compared with many stored responses: where a key has many variants, all of them name the
 * same fields in the same order, and each is read and brought into its spelling once.
 */
export class Presented {
  readonly #request: FieldMap
  readonly #mode: VaryMode
  /** By place in the lists of fields: the name of the one that was read last, what it has, and its spelling or null as long as nobody needs that. */
  readonly #names: string[] = []
  readonly #raws: Array<string | undefined> = []
  readonly #values: Array<string | undefined | null> = []

  /** @param request must not change meanwhile */
  constructor (request: FieldMap, mode: VaryMode) {
    this.#request = request
    this.#mode = mode
  }

  selects (selecting: readonly SelectingField[]): boolean {
    for (let place = 0; place < selecting.length; place++) {
      const { name, raw, value } = selecting[place] as SelectingField
      if (this.#names[place] !== name) this.#read(place, name)
      if (this.#raws[place] !== raw && this.#valueAt(place) !== value) return false
    }
    return true
  }

  #read (place: number, name: string): void {
    this.#names[place] = name
    this.#raws[place] = rawValue(this.#request, name)
    this.#values[place] = null
  }

  #valueAt (place: number): string | undefined {
    const known = this.#values[place]
    if (known !== null) return known
    const value = selectingValue(this.#raws[place], this.#names[place] as string, this.#mode)
    this.#values[place] = value
    return value
  }
}

/** Whether every request that selects what was stored for `narrow` also selects what was stored for `wide`. */
export function covers (wide: readonly SelectingField[], narrow: readonly SelectingField[]): boolean {
  return wide.every(({ name, value }) => narrow.some(other => other.name === name && other.value === value))
}

/** The coding or language of a stored response says for which request field it was chosen. */
const describedBy: Readonly<Record<string, string>> = { 'accept-language': 'content-language', 'accept-encoding': 'content-encoding' }

/**
 * Whether a stored response is what the request prefers although it was selected by another field value: every field that
 * differs is one whose choice the response itself names, and that is the choice (4.1 lets the ranking of preferences count).
 */
export function suitsByMeaning (request: FieldMap, selecting: readonly SelectingField[], stored: FieldMap): boolean {
  let differed = false
  for (const { name, raw, value } of selecting) {
    const presented = rawValue(request, name)
    if (presented === raw || selectingValue(presented, name, 'meaning') === value) continue
    const description = describedBy[name]
    if (description === undefined || presented === undefined) return false
    const said = fieldValue(stored, description)?.trim().toLowerCase()
    if (said === undefined || said === '' || said.includes(',')) return false
    const preferred = preferredChoices(presented)
    // Any coding that is liked best is as good as another; of two languages the server may like one better.
    const fits = name === 'accept-encoding' ? preferred.includes(said) : preferred.length === 1 && preferred[0] === said
    if (!fits) return false
    differed = true
  }
  return differed
}
