/** Every `Host` line of a request: among its fields there is but one, the first or all of them as one, and two are an attack (RFC 9112 3.2). */

/** @param lines `[name, value, ...]` as received */
export function hostLinesOf (lines: readonly string[]): readonly string[] {
  const found: string[] = []
  for (let i = 0; i < lines.length; i += 2) {
    const name = lines[i] as string
    if (name.length === 4 && (name === 'Host' || name === 'host' || name.toLowerCase() === 'host')) found.push(lines[i + 1] as string)
  }
  return found
}
