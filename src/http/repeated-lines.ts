/**
 * Fields that stand on several lines, over HTTP/2. Node takes a second line of many a field for a mistake, and throws, which ends
 * the process where the response is on its way already. Since 24.15 and 25.7 it can be told not to.
 */

import { isSince } from '../node-version.ts'

/** Whether Node knows the option `strictSingleValueFields`. */
const passesAll = isSince([24, 15], [25, 7])

/**
 * The values of a field as Node takes them: the lines as they came; before, one line that says the same (RFC 9110 5.3). `Set-Cookie`
 * must not be put together so, and may be repeated.
 */
export function http2Values (name: string, values: readonly string[], passesRepeated = passesAll): string | string[] {
  if (values.length === 1) return values[0] as string
  return passesRepeated || name === 'set-cookie' ? [...values] : values.join(', ')
}
