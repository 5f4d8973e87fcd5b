/**
 * Puts a line of text at the end of every HTML page. It is the same for all clients and then put there once, before the
 * response is stored, so that hits cost nothing; or it says `{subject}`, who has authenticated, and is put into each
 * response that is sent, of which nobody else may keep a copy. Pages pass while they arrive: no more than a piece of them is held.
 */
import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { TransformResponseHead } from '../src/index.ts'

export const name = 'watermark'

export const pluginOptionsSchema = {
  type: 'object',
  required: ['text'],
  properties: {
    text: { type: 'string', minLength: 1, maxLength: 500, description: 'Text, not HTML. `{subject}` stands for who has authenticated, `-` where nobody has.' },
    className: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,64}$', expected: 'letters, digits, dashes and underscores', default: 'watermark', description: 'Class of the element, for the style sheets of the site.' }
  }
} as const

interface Options { readonly text: string, readonly className: string }

/** Bytes at the end of a page in which `</body>` is looked for; where it is not, the mark comes last, and browsers put it into the body. */
const tailBytes = 1024

export default async function watermark (app: FastifyInstance, { text, className }: Options): Promise<void> {
  const isPersonal = text.includes('{subject}')
  const markFor = ({ forwarding }: TransformResponseHead): Buffer => {
    const marked = text.replaceAll('{subject}', () => forwarding?.identity?.subject ?? '-')
    return Buffer.from(`<div class="${className}">${escaped(marked)}</div>`)
  }

  app.transformResponse({
    name,
    // Another text makes other pages: what was stored with the old one, here or by clients, no longer counts.
    version: createHash('sha256').update(JSON.stringify([text, className])).digest('hex').slice(0, 8),
    moment: isPersonal ? 'beforeSending' : 'beforeStoring',
    when: ({ fields }) => /^text\/html\s*(?:;(?!.*charset\s*=\s*"?utf-?(?:16|32)).*)?$/i.test(String(fields['content-type'])),
    // Entity tags know nothing of whose page it is, and neither do caches nearer to the client.
    ...isPersonal && { fields: () => ({ 'cache-control': 'private, no-store' }) },
    async * stream (content, head) {
      let tail = Buffer.alloc(0)
      for await (const piece of content) {
        const held = Buffer.concat([tail, piece])
        const passing = Math.max(0, held.length - tailBytes)
        if (passing > 0) yield held.subarray(0, passing)
        tail = held.subarray(passing)
      }
      const found = tail.toString('latin1').toLowerCase().lastIndexOf('</body')
      const end = found === -1 ? tail.length : found
      yield Buffer.concat([tail.subarray(0, end), markFor(head), tail.subarray(end)])
    }
  })
}

/** As text within an element, in ASCII, which is the same in every encoding that a page may be in. */
function escaped (text: string): string {
  return text.replace(/[^\x20-\x7e]|[&<>"']/gu, character => `&#${character.codePointAt(0) ?? 0};`)
}
