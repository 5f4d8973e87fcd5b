/** Which Node this is, for what was added to it in some release and cannot be seen in any other way. */

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

/**
 * Whether this Node has what came with these releases.
 * @param releases `[major, minor]`, oldest first: later ones of the same line have it, and all lines behind the last one
 */
export function isSince (...releases: ReadonlyArray<readonly [major: number, minor: number]>): boolean {
  const last = releases.at(-1)
  return (last !== undefined && major > last[0]) || releases.some(([line, first]) => line === major && minor >= first)
}
