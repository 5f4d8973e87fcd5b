/** HTTP-date in its three forms (RFC 9110 5.6.7) to and from epoch milliseconds. */

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const imfFixdate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/i
const rfc850 = /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\d{2})-([A-Z][a-z]{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2}) GMT$/i
const asctime = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/i

/**
 * Epoch milliseconds, or null for what is no HTTP-date. Never throws.
 * @param now epoch milliseconds, for the two-digit year of RFC 850: more than 50 years ahead means the century before.
 */
export function parseHttpDate (text: string, now: number): number | null {
  const trimmed = text.trim()
  let match = imfFixdate.exec(trimmed)
  if (match !== null) return instant(match[3], match[2], match[1], match[4], match[5], match[6])
  match = rfc850.exec(trimmed)
  if (match !== null) {
    const thisYear = new Date(now).getUTCFullYear()
    let year = Math.floor(thisYear / 100) * 100 + Number(match[3])
    if (year > thisYear + 50) year -= 100
    return instant(String(year), match[2], match[1], match[4], match[5], match[6])
  }
  match = asctime.exec(trimmed)
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
