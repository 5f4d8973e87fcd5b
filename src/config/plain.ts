/** A private copy of what a caller handed in, made of plain objects and lists only. */
import { pointerTo } from './problems.ts'
import type { ConfigProblem } from './problems.ts'

export type Plain = Record<string, unknown>

const deepestNesting = 64

/** Whether the value is an object that is no list. */
export function isPlain (value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Copies lists and plain objects. Members that are `null` or `undefined` are left out: an option without a value
 * (in YAML, all of a section commented out) is as if it were not written. What is no data is reported.
 */
export function copyPlain (value: unknown, problems: ConfigProblem[], path = '', depth = 0): unknown {
  if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint' || depth > deepestNesting) {
    const message = depth > deepestNesting ? `must not be nested deeper than ${deepestNesting} levels` : `must be plain data, not a ${typeof value}`
    problems.push({ path, rule: 'type', message })
    return null
  }
  if (Array.isArray(value)) return value.map((item, index) => copyPlain(item, problems, pointerTo(path, index), depth + 1))
  if (!isPlain(value)) return value

  const copy: Plain = {}
  for (const [name, member] of Object.entries(value)) {
    if (name === '__proto__') problems.push({ path: pointerTo(path, name), rule: 'unknown-option', message: 'unknown option' })
    else if (member !== null && member !== undefined) copy[name] = copyPlain(member, problems, pointerTo(path, name), depth + 1)
  }
  return copy
}
