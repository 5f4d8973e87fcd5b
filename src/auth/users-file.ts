/** Files with users and hashes of their passwords, one `name:hash` per line; empty lines and those that begin with `#` do not count. */

/** As in the schema. */
const userLine = /^([^:\x00-\x1f\x7f]{1,128}):(\$argon2(?:id|i|d)\$v=19\$m=\d{1,7},t=\d{1,3},p=\d{1,2}\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,172})$/ // eslint-disable-line no-control-regex

/** Throws an error that names the line, and nothing of what stands in it. */
export function parseUsers (text: string): ReadonlyMap<string, string> {
  const users = new Map<string, string>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const [, name, hash] = userLine.exec(line.trimEnd()) ?? []
    if (name === undefined || hash === undefined) throw new Error(`line ${index + 1} is not \`name:hash\` with an Argon2 hash`)
    if (users.has(name)) throw new Error(`line ${index + 1} names a user a second time`)
    users.set(name, hash)
  }
  return users
}
