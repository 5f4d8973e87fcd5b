/**
 * Numbers that are another one in each request, as text.
 *
 * V8 keeps the texts of the last 16,384 numbers that were asked for, and what it keeps of those that never come again gets
 * old: of a limit's remaining requests it was most of what a process that only answers hits had to collect with all the rest.
 */
const group = 1000
const short = Array.from({ length: group }, (_, number) => String(number))
const padded = short.map(text => text.padStart(3, '0'))

/** A number as `String` has it; the digits of a whole one are put together from texts that are there already. */
export function decimal (number: number): string {
  if (number < group) return short[number] ?? String(number)
  // What an application's own store counts may be anything.
  if (number >= group ** 3 || !Number.isInteger(number)) return String(number)
  const thousands = Math.floor(number / group)
  const last = padded[number % group] as string
  if (thousands < group) return `${short[thousands] as string}${last}`
  return `${short[Math.floor(thousands / group)] as string}${padded[thousands % group] as string}${last}`
}
