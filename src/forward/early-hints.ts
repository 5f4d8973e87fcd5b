/** What of a 103 response goes on to the client (RFC 9110 15.2, RFC 8297). */

/** Every link of every `Link` line, one each: Node sends no line that holds several (RFC 8288 3). */
export function hintedLinks (lines: readonly string[]): string[] {
  const links: string[] = []
  for (let i = 0; i + 1 < lines.length; i += 2) {
    if ((lines[i] as string).toLowerCase() === 'link') links.push(...splitLinks(lines[i + 1] as string))
  }
  return links
}

/** Divides at the commas that are neither in a `<target>` nor in a quoted string. */
function splitLinks (value: string): string[] {
  const links: string[] = []
  let start = 0
  let inside: '>' | '"' | '' = ''
  for (let i = 0; i < value.length; i++) {
    const character = value[i]
    if (inside === '"' && character === '\\') i++
    else if (inside !== '') inside = character === inside ? '' : inside
    else if (character === '<') inside = '>'
    else if (character === '"') inside = '"'
    else if (character === ',') {
      links.push(value.slice(start, i).trim())
      start = i + 1
    }
  }
  links.push(value.slice(start).trim())
  return links.filter(link => link !== '')
}
