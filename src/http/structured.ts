/** Structured Fields (RFC 9651), read by `structured-headers`; what cannot be parsed is null, never an exception. */
import { parseDictionary as readDictionary, parseList as readList } from 'structured-headers'
import type { Dictionary, List } from 'structured-headers'

export type { Dictionary, List }

/** Longer fields are not read: the parsers are linear, and nobody means well with more. */
const maxLength = 16 * 1024

export function parseDictionary (value: string): Dictionary | null {
  return read(value, readDictionary)
}

export function parseList (value: string): List | null {
  return read(value, readList)
}

function read<T> (value: string, parse: (text: string) => T): T | null {
  if (value.length > maxLength) return null
  try {
    return parse(value)
  } catch {
    return null
  }
}
