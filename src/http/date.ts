/**
 * HTTP-date in its three forms (RFC 9110 5.6.7) to and from epoch milliseconds.
 *
 * Case does not matter, as RFC 9111 4.2 asks of caches; a zone other than GMT makes a date invalid, as it asks too.
 */

import { remembering } from './remembered.ts'

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const imfFixdate = /^[ \t]*(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT[ \t]*$/i
const rfc850 = /^[ \t]*(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\d{2})-([A-Z][a-z]{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2}) GMT[ \t]*$/i
const asctime = /^[ \t]*(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d{2}):(\d{2}):(\d{2}) (\d{4})[ \t]*$/i

/** Of the form that everybody writes: `Date` is the same for all responses of a second. */
const readFixdate = remembering((text: string): { readonly at: number | null } | null => {
  const match = imfFixdate.exec(text)
  return match === null ? null : { at: instant(match[3], match[2], match[1], match[4], match[5], match[6]) }
}, 29)

/**
 * Epoch milliseconds, or null for what is no HTTP-date. Never throws.
 * @param now epoch milliseconds, for the two-digit year of RFC 850: an instant more than 50 years ahead means the century before.
 */
export function parseHttpDate (text: string, now: number): number | null {
  const usual = readFixdate(text)
  if (usual !== null) return usual.at
  let match = rfc850.exec(text)
  if (match !== null) {
    const horizon = new Date(now)
    const century = Math.floor(horizon.getUTCFullYear() / 100) * 100
    horizon.setUTCFullYear(horizon.getUTCFullYear() + 50)
    const inYear = (year: number) => instant(String(year), match?.[2], match?.[1], match?.[4], match?.[5], match?.[6])
    const year = century + Number(match[3])
    // 29 February may exist in one century only: then that is the year.
    const at = inYear(year)
    return at === null || at > horizon.getTime() ? inYear(year - 100) : at
  }
  match = asctime.exec(text)
  if (match !== null) return instant(match[6], match[1], match[2], match[3], match[4], match[5])
  return null
}

function instant (year = '', month = '', day = '', hour = '', minute = '', second = ''): number | null {
  const monthIndex = months.indexOf(month.toLowerCase())
  const [y, d, h, m, s] = [year, day, hour, minute, second].map(Number) as [number, number, number, number, number]
  if (monthIndex === -1 || d < 1 || h > 23 || m > 59 || s > 60) return null
  const date = new Date(0)
  date.setUTCFullYear(y, monthIndex, d)
  if (date.getUTCDate() !== d || date.getUTCMonth() !== monthIndex) return null
  date.setUTCHours(h, m, s)
  return date.getTime()
}

/** IMF-fixdate of an instant in epoch milliseconds. */
export function formatHttpDate (at: number): string {
  return new Date(at).toUTCString()
}
