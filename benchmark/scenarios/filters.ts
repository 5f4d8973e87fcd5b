/** What each built-in filter costs a hit: one proxy for each of them, and one without any, which is the yardstick. */
import { createHash } from 'node:crypto'
import { hashSync } from '@node-rs/argon2'
import type { LoadScenario, Row } from '../lib/scenario.ts'
import { storedHit } from './hits.ts'

interface Filter { readonly route: object, readonly fields?: Readonly<Record<string, string>>, readonly isCompressed?: boolean }

const sha256 = `sha256:${createHash('sha256').update('secret').digest('hex')}`
const basic = { Authorization: `Basic ${Buffer.from('user:secret').toString('base64')}` }

const filters: Readonly<Record<string, Filter>> = {
  none: { route: {} },
  'rate limit': { route: { rateLimit: { max: 1e9 } } },
  'rate limits, three': { route: { rateLimit: [{ max: 1e9 }, { max: 1e9, window: '1h' }, { name: 'bursts', max: 1e9, burst: 1e6 }] } },
  'access lists': { route: { access: { deny: ['192.0.2.0/24'], methods: ['GET'] } } },
  CORS: { route: { cors: { origins: ['https://a.test'] } }, fields: { Origin: 'https://a.test' } },
  'API key': { route: { auth: { shared: true, apiKeys: { keys: [sha256] } } }, fields: { 'X-Api-Key': 'secret' } },
  'bearer token': { route: { auth: { shared: true, bearer: { tokens: [sha256] } } }, fields: { Authorization: 'Bearer secret' } },
  'password, remembered': { route: { auth: { shared: true, basic: { users: { user: hashSync('secret') } } } }, fields: basic },
  'path rewriting': { route: { rewrite: { stripPrefix: '/stored', addPrefix: '/stored' } } },
  'request fields': { route: { rewrite: { setFields: { 'x-client': '{client.ip}' } } } },
  'response fields, before storing': { route: { response: { setFields: { 'x-frame-options': 'DENY' }, security: {} } } },
  'response fields, before sending': { route: { response: { rules: [{ when: { cache: 'hit' }, set: { 'x-cache': 'HIT' } }] } } },
  compression: { route: { response: { compression: { enabled: true, minBytes: 100 } } }, fields: { 'Accept-Encoding': 'gzip, br' }, isCompressed: true }
}

const hit = storedHit(1024)
const rows = Object.entries(filters).map(([title, { route, fields, isCompressed = false }]): Row => ({
  subject: 'holdfast-bare',
  title: `filter: ${title}`,
  settings: { route },
  asked: { ...hit, first: [fields ?? {}], ...fields && { fields }, ...isCompressed && { expect: { status: 200, bytes: null } } }
}))

export const filterScenario: LoadScenario = { name: 'filters', title: 'Hit, 1 KiB, by the filters of its route', rows }
