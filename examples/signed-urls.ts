/**
 * Lets only those in who have a URL that was signed for them, until it expires: HMAC-SHA-256 over path and query. What
 * was signed is taken out of the query, so that everybody with such a URL shares one stored response.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type {} from '../src/index.ts'

export const name = 'signed-urls'

export const optionsSchema = {
  type: 'object',
  required: ['keys'],
  properties: {
    keys: {
      type: 'object',
      patternProperties: { '^.*$': { type: 'string', minLength: 32, writeOnly: true } },
      propertyNames: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,32}$', expected: 'letters, digits, dashes and underscores' },
      minProperties: 1,
      description: 'Secrets by name. A URL says which one signed it, so that a new one can come in before the old one goes.'
    }
  }
} as const

interface Options { readonly keys: Readonly<Record<string, string>> }

/**
 * Signs a path with its query, such as `/video/1?size=big`, as the proxy will see it.
 * @param expires seconds since 1970
 */
export function signUrl (url: string, key: { readonly name: string, readonly secret: string }, expires: number): string {
  const signed = `${url}${url.includes('?') ? '&' : '?'}expires=${expires}&key=${key.name}`
  return `${signed}&signature=${macOf(signed, key.secret).toString('base64url')}`
}

export default async function signedUrls (app: FastifyInstance): Promise<void> {
  app.addFilter<Options>('onRequest', (context, { keys }) => {
    const { path, query } = context.target
    const [, signed = '', expires = '', key = '', signature = ''] = /^(\?(?:.*&)?expires=(\d{1,12})&key=([A-Za-z0-9_-]{1,32}))&signature=([A-Za-z0-9_-]{43})$/.exec(query) ?? []
    const secret = Object.hasOwn(keys, key) ? keys[key] as string : null
    // Compared also where there is no such key, so that the time taken does not tell.
    const fits = timingSafeEqual(macOf(path + signed, secret ?? ''), Buffer.from(signature.padEnd(43, 'A'), 'base64url')) && secret !== null
    if (!fits || Number(expires) * 1000 <= Date.now()) {
      return context.reply.code(403).header('cache-control', 'no-store').send('This link is not valid, or not valid any more.')
    }
    const own = signed.lastIndexOf('expires=')
    context.setQuery(own === 1 ? '' : signed.slice(0, own - 1))
    return undefined
  })
}

function macOf (text: string, secret: string): Buffer {
  return createHmac('sha256', secret).update(text).digest()
}
