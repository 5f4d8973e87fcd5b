/** Filters that meet: what one promises holds whatever another one does to the same request or response. */
import t from 'tap'
import { createLocationRules } from '../../src/forward/locations.ts'
import type { Extension } from '../../src/index.ts'
import { digest } from '../fixtures/auth.ts'
import { bodyOf } from '../fixtures/conformance.ts'
import { get, startProxy, talk } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

type App = Parameters<Extension['plugin']>[0]

const fieldOf = (text: string, name: string): string | undefined => new RegExp(`\\r\\n${name}: ([^\\r]*)`, 'i').exec(text)?.[1]
const own = (plugin: (app: App) => unknown): { extensions: Extension[] } => ({ extensions: [{ name: 'own', plugin: plugin as Extension['plugin'] }] })

const keys = { keys: [{ name: 'ann', hash: digest('secret-ann') }, { name: 'bob', hash: digest('secret-bob') }] }
const speaksForAll = own(app => { app.addFilter('preHandler', context => { context.setField('x-user', 'everybody') }) })

const rules = [
  ['a rule that sets it', { rewrite: { setFields: { 'x-user': 'everybody' } } }, {}],
  ['a rule that removes it', { rewrite: { removeFields: ['x-user'] } }, {}],
  ['a rule that renames it', { rewrite: { renameFields: { 'x-user': 'x-person' } } }, {}],
  ['an own filter that sets it', { extensions: { own: true } }, speaksForAll]
] as const
for (const [title, route, holdfast] of rules) {
  t.test(`Vary by the identity's field keeps users apart beside ${title} (RFC 9111 4.1)`, async t => {
    const origin = await startRawOrigin(t, ({ text }) => response(`for ${fieldOf(text, 'x-user')}`, ['Cache-Control: max-age=60', 'Vary: X-User']))
    const proxy = await startProxy(t, origin.url, { route: { ...route, auth: { apiKeys: keys, identityField: 'x-user', shared: true } }, holdfast })
    const ask = async (name: string): Promise<string> => bodyOf(await talk(proxy.port, get('/', [`X-Api-Key: secret-${name}`])))

    t.equal(await ask('ann'), 'for ann')
    t.equal(await ask('bob'), 'for bob')
    t.equal(await ask('ann'), 'for ann')
    t.equal(origin.requests.length, 2)
  })
}

t.test('a rule for a field that is set when the request is sent does not say who asks either', async t => {
  for (const field of ['x-user', 'X-Real-IP', 'Authorization', 'Pragma']) {
    const origin = await startRawOrigin(t, () => response())
    for (const rewrite of [{ setFields: { [field]: 'everybody' } }, { appendFields: { [field]: 'everybody' } }, { removeFields: [field] }]) {
      if (field === 'X-Real-IP' && 'appendFields' in rewrite) continue
      const proxy = await startProxy(t, origin.url, { route: { rewrite, auth: { apiKeys: keys, identityField: field } } })
      await talk(proxy.port, get('/', ['X-Api-Key: secret-ann']))
      t.equal(fieldOf(origin.requests.at(-1) as string, field), 'ann', `${field}: ${Object.keys(rewrite)[0]}`)
    }
  }
})

t.test('a rule changes what an own filter has set, for the cache and the upstream alike', async t => {
  const origin = await startRawOrigin(t, ({ text }) => response(`${fieldOf(text, 'x-variant')}`, ['Cache-Control: max-age=60', 'Vary: X-Variant']))
  const proxy = await startProxy(t, origin.url, {
    route: { extensions: { own: true }, rewrite: { setFields: { 'x-variant': 'one' } } },
    holdfast: own(app => { app.addFilter('preHandler', context => { context.setField('x-variant', context.path.slice(1)) }) })
  })

  t.equal(bodyOf(await talk(proxy.port, get('/two'))), 'one')
  t.equal(fieldOf(origin.requests[0] as string, 'x-variant'), 'one')
})

t.test('what an own filter has set cannot be taken away by Connection, whatever a rule makes of it (RFC 9110 7.6.1)', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, {
    route: { extensions: { own: true }, rewrite: { renameFields: { 'x-other': 'x-moved' } } },
    holdfast: own(app => {
      app.addFilter('preHandler', context => {
        context.setField('x-signed', 'yes')
        context.removeField('x-secret')
      })
    })
  })

  await talk(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x-signed\r\nX-Signed: no\r\nX-Secret: 1\r\n\r\n')

  t.equal(fieldOf(origin.requests[0] as string, 'x-signed'), 'yes')
  t.equal(fieldOf(origin.requests[0] as string, 'x-secret'), undefined)
})

t.test('TRACE shows neither credentials nor fields that only authentication may set (RFC 9110 9.3.8)', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { route: { auth: { apiKeys: { ...keys, field: 'x-team-key' }, identityField: 'x-user' } } })

  const traced = await talk(proxy.port, 'TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nMax-Forwards: 0\r\nX-Team-Key: secret-ann\r\nX_User: bob\r\nX-User: bob\r\nX-Other: seen\r\n\r\n')

  t.match(traced, /200 OK[^]*X-Other: seen/)
  t.notMatch(traced, /secret-ann|bob/)
  t.equal(origin.requests.length, 0)
})

t.test('a rule for Vary before sending leaves what CORS has to say there', async t => {
  const origin = await startRawOrigin(t, () => response('ok', ['Cache-Control: max-age=60', 'Vary: Accept']))
  const proxy = await startProxy(t, origin.url, {
    route: {
      cors: { origins: ['https://a.test', 'https://b.test'] },
      response: { rules: [{ when: { cache: 'hit' }, set: { vary: 'accept-language' } }] }
    }
  })
  const ask = (): Promise<string> => talk(proxy.port, get('/', ['Origin: https://a.test']))
  await ask()
  const hit = await ask()

  const vary = [...hit.matchAll(/\r\nvary: ([^\r]*)/gi)].map(([, value]) => value).join(', ').toLowerCase()
  t.match(hit, /cache-status: [^\r]*; hit/i)
  t.equal(fieldOf(hit, 'access-control-allow-origin'), 'https://a.test')
  t.same(vary.split(', ').sort(), ['accept-language', 'origin'])
})

for (const fails of [false, true]) {
  t.test(`an unsafe request invalidates what its Location names although an own filter ${fails ? 'fails' : 'removes the field'} (RFC 9111 4.4)`, async t => {
    const origin = await startRawOrigin(t, ({ text, count }) => text.startsWith('POST') ? response('', [`Location: ${origin.url}/made`], '201 Created') : response(`answer ${count}`, ['Cache-Control: max-age=60']))
    const proxy = await startProxy(t, origin.url, {
      route: { extensions: { own: true } },
      holdfast: own(app => {
        app.addFilter('beforeStoring', ({ fields }, { method }) => {
          if (method !== 'POST') return
          delete fields['location']
          if (fails) throw new Error('on purpose')
        })
      })
    })

    await talk(proxy.port, get('/made'))
    await talk(proxy.port, 'POST /things HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')

    t.equal(bodyOf(await talk(proxy.port, get('/made'))), 'answer 3')
  })
}

t.test('a Refresh of spaces is read in linear time', async t => {
  const fields = { refresh: `0;url=${' '.repeat(12_000)}"x"y` }
  createLocationRules({ origins: ['http://a.test'], rules: { rewrite: true, origins: [], paths: false }, rewrite: {} })?.(fields, '')

  t.match(fields.refresh, /^0;url= +"x"y$/)
})
