/**
 * Splits clients into variants of a page by a cookie. Each variant is stored apart; the cookie itself, which differs for
 * every client that has other cookies as well, is no part of the key.
 */
import { randomInt } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type {} from '../src/index.ts'

export const name = 'ab-split'

export const optionsSchema = {
  type: 'object',
  properties: {
    cookie: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,64}$', expected: 'a cookie name of letters, digits, dashes and underscores', default: 'variant', description: 'Cookie that remembers the variant.' },
    field: { type: 'string', default: 'x-variant', description: 'Request field that tells the origin server.' },
    variants: {
      type: 'object',
      patternProperties: { '^.*$': { type: 'integer', minimum: 0, maximum: 1_000_000 } },
      propertyNames: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,32}$', expected: 'letters, digits, dashes and underscores' },
      minProperties: 1,
      default: { a: 1, b: 1 },
      description: 'Variants and their weights among clients that have none yet.'
    },
    maxAge: { type: 'integer', minimum: 1, default: 2_592_000, description: 'Seconds that a client keeps its variant.' }
  }
} as const

interface Options { readonly cookie: string, readonly field: string, readonly variants: Readonly<Record<string, number>>, readonly maxAge: number }

export default async function abSplit (app: FastifyInstance): Promise<void> {
  const drawn = new WeakMap<FastifyRequest, string>()

  app.addFilter<Options>('preHandler', (context, { cookie, field, variants }) => {
    const known = cookieOf(context.request.headers.cookie ?? '', cookie)
    const variant = known !== null && Object.hasOwn(variants, known) ? known : draw(variants)
    if (variant !== known) drawn.set(context.request, variant)
    context.addKeyPart(name, variant)
    context.setField(field, variant)
  })

  // Not before storing: the cookie is for one client.
  app.addFilter<Options>('beforeSending', (head, { request }, { cookie, maxAge }) => {
    const variant = drawn.get(request)
    if (variant !== undefined) {
      head.fields['set-cookie'] = [head.fields['set-cookie'] ?? [], `${cookie}=${variant}; Path=/; Max-Age=${maxAge}; SameSite=Lax; HttpOnly`].flat()
    }
    // Caches nearer to the client do not know our key.
    head.fields['vary'] = [head.fields['vary'] ?? [], 'Cookie'].flat().join(', ')
  })
}

function draw (variants: Options['variants']): string {
  const all = Object.entries(variants)
  const total = all.reduce((sum, [, weight]) => sum + weight, 0)
  let at = total === 0 ? 0 : randomInt(total)
  return all.find(([, weight]) => (at -= weight) < 0)?.[0] ?? all[0]?.[0] as string
}

function cookieOf (value: string, cookie: string): string | null {
  for (const pair of value.split(';')) {
    const [found, ...rest] = pair.split('=')
    if (found?.trim() === cookie) return rest.join('=').trim()
  }
  return null
}
