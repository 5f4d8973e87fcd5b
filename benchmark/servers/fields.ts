/** Eight fields of an ordinary response, the same from every server here. */
export const entityTag = '"a1b2c3d4"'

export function fieldsOf (bytes: number, cacheControl = 'max-age=3600', vary = 'Accept-Encoding'): Record<string, string> {
  return {
    'Content-Type': 'text/plain',
    'Cache-Control': cacheControl,
    ETag: entityTag,
    'Last-Modified': 'Mon, 05 Jan 2026 08:00:00 GMT',
    Vary: vary,
    'X-Frame-Options': 'DENY',
    'X-Content-Type-Options': 'nosniff',
    'Content-Length': String(bytes)
  }
}

export function fieldLines (bytes: number, cacheControl: string, vary: string): string {
  return Object.entries(fieldsOf(bytes, cacheControl, vary)).map(([name, value]) => `${name}: ${value}\r\n`).join('')
}
