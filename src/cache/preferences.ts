/** Request fields that state preferences: `Accept`, `Accept-Language`, `Accept-Encoding`, `Accept-Charset` (RFC 9110 12.5). */

/** Fields whose members of equal weight some servers take in the order given (RFC 9110 12.5.4 warns of it), and the others. */
const orderMayMatter: Readonly<Record<string, boolean>> = { accept: true, 'accept-language': true, 'accept-charset': true, 'accept-encoding': false }

interface Choice { readonly name: string, readonly weight: number }

/** Values in use repeat: the last ones are remembered, the whole memory is dropped when it is full. */
const remembered = new Map<string, string | null>()
const maxRemembered = 2000
const maxRememberedLength = 512
/** A field with more members is compared as it is written. */
const maxChoices = 64

/**
 * One spelling for all values of such a field that mean the same: lower case (but for values of parameters, of which only
 * the media type knows whether case matters), no white space, weights as numbers, the
 * heaviest first; null where the field states no preferences or is not well-formed.
 * @param anyOrder members of equal weight have no order, as the standard says
 */
export function normaliseChoices (field: string, value: string, anyOrder: boolean): string | null {
  const ordered = orderMayMatter[field]
  if (ordered === undefined) return null
  if (value.length > maxRememberedLength) return normalise(value, ordered && !anyOrder)
  const key = `${field} ${anyOrder ? 1 : 0} ${value}`
  const known = remembered.get(key)
  if (known !== undefined) return known
  const made = normalise(value, ordered && !anyOrder)
  if (remembered.size >= maxRemembered) remembered.clear()
  remembered.set(key, made)
  return made
}

function normalise (value: string, keepOrder: boolean): string | null {
  const choices = parseChoices(value)
  if (choices === null) return null
  const unique = new Map<string, Choice>()
  for (const choice of choices) {
    // Named twice with different weights: what is meant is anybody's guess.
    if ((unique.get(choice.name)?.weight ?? choice.weight) !== choice.weight) return null
    unique.set(choice.name, choice)
  }
  const sorted = [...unique.values()].sort((a, b) => b.weight - a.weight || (keepOrder ? 0 : a.name < b.name ? -1 : 1))
  return sorted.map(({ name, weight }) => weight === 1 ? name : `${name};q=${weight}`).join(',')
}

/** The choices with the highest weight above 0, lower case; none where the value is not well-formed. */
export function preferredChoices (value: string): readonly string[] {
  const choices = parseChoices(value) ?? []
  const best = Math.max(0, ...choices.map(({ weight }) => weight))
  return best === 0 ? [] : choices.filter(({ weight }) => weight === best).map(({ name }) => name)
}

/** The weight of each choice, by its name in lower case; null where the value is not well-formed or names one with different weights. */
export function weightsOf (value: string): ReadonlyMap<string, number> | null {
  const choices = parseChoices(value)
  if (choices === null) return null
  const weights = new Map<string, number>()
  for (const { name, weight } of choices) {
    if ((weights.get(name) ?? weight) !== weight) return null
    weights.set(name, weight)
  }
  return weights
}

/** Whether a choice is named, with a weight above 0. */
export function accepts (value: string, choice: string): boolean {
  return (parseChoices(value) ?? []).some(({ name, weight }) => name === choice && weight > 0)
}

/** What stands before a `=`, or all where there is none, in lower case. */
function lowerName (part: string): string {
  const equals = part.indexOf('=')
  return equals === -1 ? part.toLowerCase() : part.slice(0, equals).toLowerCase() + part.slice(equals)
}

function parseChoices (value: string): readonly Choice[] | null {
  if (value.includes('"')) return null
  const choices: Choice[] = []
  for (const member of value.split(',')) {
    const parts = member.split(';').map(part => lowerName(part.trim()))
    if (parts.length === 1 && parts[0] === '') continue
    let weight = 1
    const kept: string[] = []
    for (const [place, part] of parts.entries()) {
      const match = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.exec(part)
      if (match !== null && place === parts.length - 1 && place > 0) weight = Number(match[1])
      else if (part === '' || part.startsWith('q=') || /\s/.test(part)) return null
      else kept.push(part)
    }
    choices.push({ name: kept.join(';'), weight })
    if (choices.length > maxChoices) return null
  }
  return choices
}
