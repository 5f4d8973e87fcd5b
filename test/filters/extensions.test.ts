/** Own filters: what they see and may change, in which order, and what happens when they fail. */
import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import Type, { type Static } from 'typebox'
import { holdfast, type Extension, type FilterContext, type HoldfastOptions } from '../../src/index.ts'
import { get, openSocket, startProxy, talk, until, type ProxySettings, type RunningProxy } from '../fixtures/proxy.ts'
import { response, startRawOrigin, type RawOrigin } from '../fixtures/raw-origin.ts'

type App = Parameters<Extension['plugin']>[0]

const fresh = ['Cache-Control: max-age=60']

/** A proxy with one extension, `own`, that its only route uses. */
async function startWith (t: Test, plugin: (app: App) => unknown, more: { readonly extension?: Partial<Extension>, readonly options?: unknown, readonly settings?: ProxySettings, readonly says?: (text: string) => string } = {}): Promise<{ origin: RawOrigin, proxy: RunningProxy, ask: (path?: string, fields?: string[]) => Promise<string> }> {
  const origin = await startRawOrigin(t, ({ text }) => more.says?.(text) ?? response('body', fresh))
  const proxy = await startProxy(t, origin.url, {
    ...more.settings,
    route: { extensions: { own: more.options ?? true }, ...more.settings?.route },
    holdfast: { extensions: [{ plugin, name: 'own', ...more.extension }] }
  })
  return { origin, proxy, ask: (path = '/', fields = []) => talk(proxy.port, get(path, fields)) }
}

const failures = async (proxy: RunningProxy): Promise<string> => (await proxy.metrics.metrics()).split('\n').filter(line => line.startsWith('holdfast_extension_failures_total{')).join('\n')

t.test('a filter runs on the routes that name its extension and nowhere else, with their options and defaults', async t => {
  const optionsSchema = Type.Object({ greeting: Type.String({ default: 'hello' }), times: Type.Integer({ minimum: 1, default: 1 }) })
  const seen: Array<Static<typeof optionsSchema>> = []
  const origin = await startRawOrigin(t, () => response('body', fresh))
  const proxy = await startProxy(t, origin.url, {
    routes: [
      { name: 'plain', upstream: 'default' },
      { name: 'a', upstream: 'default', match: { path: '/a' }, extensions: { own: true } },
      { name: 'b', upstream: 'default', match: { path: '/b' }, extensions: { own: { greeting: 'hi', times: 3 } } },
      { name: 'c', upstream: 'default', match: { path: '/c' }, extensions: { own: false } }
    ],
    holdfast: {
      extensions: [{
        name: 'own',
        optionsSchema,
        plugin: async (app: App) => { app.addFilter<Static<typeof optionsSchema>>('onRequest', (_context, options) => { seen.push(options) }) }
      }]
    }
  })

  for (const path of ['/plain', '/a', '/b', '/c']) await talk(proxy.port, get(path))

  t.same(seen, [{ greeting: 'hello', times: 1 }, { greeting: 'hi', times: 3 }])
})

t.test('the phases come in their order, around authentication and the cache; on a hit nothing is stored', async t => {
  const order: string[] = []
  const { ask } = await startWith(t, app => {
    app.addFilter('onEnd', (end, context) => { order.push(`onEnd ${end.statusCode} ${context.outcome?.hit}`) })
    app.addFilter('beforeSending', (_head, context) => { order.push(`beforeSending ${context.outcome?.hit}`) })
    app.addFilter('beforeStoring', () => { order.push('beforeStoring') })
    app.addFilter('preHandler', context => { order.push(`preHandler ${context.outcome}`) })
    app.addFilter('onRequest', async () => { order.push('onRequest') })
  })

  await ask()
  await until(() => order.length === 5)
  t.same(order.splice(0), ['onRequest', 'preHandler null', 'beforeStoring', 'beforeSending false', 'onEnd 200 false'])
  await ask()
  await until(() => order.length === 4)
  t.same(order, ['onRequest', 'preHandler null', 'beforeSending true', 'onEnd 200 true'])
})

t.test('extensions act in the order of their list, and a hook that Fastify has runs on every route', async t => {
  const order: string[] = []
  const make = (name: string): Extension => ({
    name,
    plugin: async (app: App) => {
      app.addFilter('onRequest', () => { order.push(`${name} filter`) })
      app.addHook('onRequest', async request => { order.push(`${name} hook ${request.forwarding?.routeName}`) })
    }
  })
  const origin = await startRawOrigin(t, () => response('body', fresh))
  const proxy = await startProxy(t, origin.url, { route: { extensions: { b: true, a: true } }, holdfast: { extensions: [make('a'), make('b'), make('c')] } })

  await talk(proxy.port, get('/'))

  t.same(order, ['a hook default', 'b hook default', 'c hook default', 'a filter', 'b filter'])
})

t.test('a filter before authentication does not know who asks, one in preHandler runs only for those who may', async t => {
  const seen: string[] = []
  const { ask } = await startWith(t, app => {
    app.addFilter('onRequest', () => { seen.push('onRequest') })
    app.addFilter('preHandler', () => { seen.push('preHandler') })
  }, { settings: { route: { auth: { apiKeys: { keys: [`sha256:${'0'.repeat(64)}`] } } } } })

  t.match(await ask(), / 401 /)
  t.same(seen, ['onRequest'])
})

t.test('the context says what is known of the request', async t => {
  let seen: object = {}
  const { ask } = await startWith(t, app => {
    app.addFilter('preHandler', ({ route, target, path, query, params, clientAddress, identity, outcome, keyParts }: FilterContext) => {
      seen = { route, target: target.path, path, query, params: { ...params }, clientAddress, identity, outcome, keyParts: keyParts.size }
    })
  }, { settings: { route: { match: { path: '/users/:id/*' } } } })

  await ask('/users/4%32/caf%C3%A9?a=1')

  t.same(seen, { route: 'default', target: '/users/42/caf%C3%A9', path: '/users/42/caf%C3%A9', query: '?a=1', params: { id: '42' }, clientAddress: '127.0.0.1', identity: null, outcome: null, keyParts: 0 })
})

t.test('path, query and fields that a filter sets are those of the key, of Vary and of the upstream; the route\'s rewriting comes after', async t => {
  const { origin, ask } = await startWith(t, app => {
    app.addFilter('preHandler', context => {
      context.setPath('/one/../two')
      context.setQuery('?x=%7e')
      context.setField('X-Own', context.query.length > 0 ? 'set' : '')
      context.removeField('X-Secret')
    })
  }, { settings: { route: { rewrite: { addPrefix: '/base' } } }, says: () => response('body', [...fresh, 'Vary: X-Own']) })

  t.match(await ask('/anything?b', ['X-Secret: 1', 'X-Own: forged']), /fwd=uri-miss/)
  t.match(await ask('/other', ['X-Own: other']), /; hit/)

  t.equal(origin.requests.length, 1)
  t.match(origin.requests[0], /^GET \/base\/two\?x=%7e HTTP/)
  t.match(origin.requests[0], /\r\nx-own: set\r\n/)
  t.notMatch(origin.requests[0], /secret|forged/i)
})

t.test('a client cannot take away a field that a filter sets by naming it in Connection', async t => {
  const { origin, ask } = await startWith(t, app => { app.addFilter('onRequest', context => { context.setField('x-tenant', 'a') }) })

  await talk(Number(new URL((await startProxy(t, origin.url)).url).port), get('/warm'))
  await ask('/', ['Connection: close, x-tenant'])

  t.match(origin.requests.at(-1), /\r\nx-tenant: a\r\n/)
})

t.test('parts that a filter adds to the key keep responses apart, whatever the order and content of their names', async t => {
  const { origin, ask } = await startWith(t, app => {
    app.addFilter('preHandler', context => {
      for (const pair of String(context.request.headers['x-parts']).split(',')) {
        const [name = '', value = ''] = pair.split('=')
        context.addKeyPart(name, value)
      }
    })
    app.addFilter('beforeStoring', (head, { keyParts }) => { head.fields['x-stored-for'] = [...keyParts].map(part => part.join('=')).sort().join(' ') })
  }, { says: text => response(/x-parts: (\S+)/i.exec(text)?.[1] ?? '', fresh) })
  const bodies = async (...parts: string[]): Promise<string[]> => {
    const all: string[] = []
    for (const one of parts) all.push((await ask('/', [`X-Parts: ${one}`])).split('\r\n\r\n')[1] ?? '')
    return all
  }

  t.same(await bodies('a=1,b=2', 'b=2,a=1', 'a=1', 'a=12', 'a=1"],["b"=2'), ['a=1,b=2', 'a=1,b=2', 'a=1', 'a=12', 'a=1"],["b"=2'])
  t.equal(origin.requests.length, 4)
  t.match(await ask('/', ['X-Parts: b=2,a=1']), /; hit[^]*x-stored-for: a=1 b=2|x-stored-for: a=1 b=2[^]*; hit/)
})

t.test('the method PURGE takes out all that is stored under the URL, whatever parts the key has', async t => {
  const { ask, proxy } = await startWith(t, app => { app.addFilter('preHandler', context => { context.addKeyPart('v', String(context.request.headers['x-v'])) }) }, { settings: { route: { purge: { allow: ['loopback'] } } } })
  await ask('/', ['X-V: 1'])
  await ask('/', ['X-V: 2'])

  t.match(await talk(proxy.port, 'PURGE / HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n'), /"responses":2/)
})

t.test('a filter can keep a request out of the cache', async t => {
  const { origin, ask } = await startWith(t, app => { app.addFilter('preHandler', context => { if (context.query === '?now') context.bypassCache() }) })

  await ask('/')
  t.match(await ask('/?now'), /fwd=bypass.*detail=own-filter/)
  t.match(await ask('/?now'), /fwd=bypass/)
  t.match(await ask('/'), /; hit/)
  t.equal(origin.requests.length, 3)
})

t.test('a filter that answers ends the request: nothing is forwarded or stored, in either phase, waiting or not', async t => {
  for (const phase of ['onRequest', 'preHandler'] as const) {
    for (const kind of ['at once', 'returned', 'awaited'] as const) {
      await t.test(`${phase}, ${kind}`, async t => {
        const later: string[] = []
        const { origin, proxy, ask } = await startWith(t, app => {
          app.addFilter(phase, kind === 'awaited'
            ? async ({ reply }) => {
              await new Promise(resolve => { setImmediate(resolve) })
              reply.code(403).header('x-by', 'own').send('no')
            }
            : ({ reply }) => {
                reply.code(403).header('x-by', 'own').send('no')
                return kind === 'returned' ? reply : undefined
              })
          app.addFilter(phase, () => { later.push(phase) })
        })

        const answer = await ask()

        t.match(answer, /^HTTP\/1\.1 403 /)
        t.match(answer, /x-by: own/)
        t.ok(answer.endsWith('no'))
        t.same(later, [])
        t.equal(origin.requests.length, 0)
        t.match(await proxy.metrics.metrics(), /holdfast_http_requests_total\{route="default",method="GET",status_class="4xx",cache="none"\} 1/)
        t.equal(await failures(proxy), '')
      })
    }
  }
})

t.test('an answer counts from the moment it is given, also where onSend hooks take their time', async t => {
  const origin = await startRawOrigin(t, () => response('body', fresh))
  const app = Fastify()
  app.addHook('onSend', async () => { await new Promise(resolve => { setImmediate(resolve) }) })
  await app.register(holdfast, {
    config: { upstreams: { default: { targets: [origin.url] } }, routes: [{ name: 'all', upstream: 'default', extensions: { own: true } }] },
    extensions: [{ name: 'own', plugin: async (app: App) => { app.addFilter('onRequest', ({ reply }) => { reply.code(403).send('no') }) } }]
  })
  t.teardown(() => app.close())

  const answer = await app.inject('/')

  t.equal(answer.statusCode, 403)
  t.equal(answer.body, 'no')
  t.equal(origin.requests.length, 0)
})

t.test('fields are changed once before storing and each time before sending, on hits and 304 as well', async t => {
  let stored = 0
  let sent = 0
  const { ask } = await startWith(t, app => {
    app.addFilter('beforeStoring', head => {
      head.fields['x-stored'] = String(++stored)
      head.fields['etag'] = '"own"'
      delete head.fields['server']
    })
    app.addFilter('beforeSending', (head, { outcome }) => {
      head.fields['x-sent'] = `${++sent} ${head.statusCode} ${outcome?.hit}`
      head.fields['set-cookie'] = ['a=1', 'b=2']
      delete head.fields['via']
    })
  }, { says: () => response('body', [...fresh, 'Server: secret']) })

  const first = await ask()
  const second = await ask()
  const third = await ask('/', ['If-None-Match: "own"'])

  for (const answer of [first, second, third]) {
    t.match(answer, /\r\nx-stored: 1\r\n/)
    t.match(answer, /\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n/i)
    t.notMatch(answer, /\r\n(?:server|via):/i)
  }
  t.match(first, /x-sent: 1 200 false/)
  t.match(second, /x-sent: 2 200 true/)
  t.match(third, /^HTTP\/1\.1 304 [^]*x-sent: 3 304 true/)
  t.ok(second.endsWith('\r\n\r\nbody'))
})

t.test('a 304 that confirms what is stored passes the filters, and brings the stored fields up to date with what they say', async t => {
  let at = Date.UTC(2026, 5, 1)
  let stored = 0
  const origin = await startRawOrigin(t, ({ text }) => text.includes('if-none-match') ? 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n' : response('body', [...fresh, 'ETag: "1"']))
  const proxy = await startProxy(t, origin.url, {
    route: { extensions: { own: true } },
    holdfast: { now: () => at, extensions: [{ name: 'own', plugin: async (app: App) => { app.addFilter('beforeStoring', head => { head.fields['x-stored'] = `${++stored} ${head.statusCode}` }) } }] }
  })

  t.match(await talk(proxy.port, get('/')), /x-stored: 1 200/)
  at += 61_000
  t.match(await talk(proxy.port, get('/')), /x-stored: 2 304/)
  t.match(await talk(proxy.port, get('/')), /x-stored: 2 304[^]*; hit|; hit[^]*x-stored: 2 304/)
})

t.test('a filter that fails is its route\'s 500 with a code, logged and counted; other routes and later requests go on', async t => {
  const broken: ReadonlyArray<readonly [string, (app: App) => void, string]> = [
    ['throws', app => { app.addFilter('onRequest', () => { throw new Error('secret') }) }, 'onRequest'],
    ['throws what is no error', app => { app.addFilter('preHandler', () => { throw 'secret' }) }, 'preHandler'], // eslint-disable-line no-throw-literal
    ['rejects', app => { app.addFilter('preHandler', async () => { throw new Error('secret') }) }, 'preHandler'],
    ['rejects with nothing', app => { app.addFilter('preHandler', () => Promise.reject()) }, 'preHandler'], // eslint-disable-line prefer-promise-reject-errors
    ['fails before storing', app => { app.addFilter('beforeStoring', () => { throw new Error('secret') }) }, 'beforeStoring'],
    ['waits before storing', app => { app.addFilter('beforeStoring', async () => { throw new Error('secret') }) }, 'beforeStoring'],
    ['fails before sending', app => { app.addFilter('beforeSending', () => { throw new Error('secret') }) }, 'beforeSending'],
    ['ends a line', app => { app.addFilter('beforeSending', head => { head.fields['x-a'] = 'a\r\nset-cookie: b' }) }, 'beforeSending'],
    ['says another length', app => { app.addFilter('beforeStoring', head => { head.fields['content-length'] = '1' }) }, 'beforeStoring'],
    ['says no length', app => { app.addFilter('beforeSending', head => { delete head.fields['content-length'] }) }, 'beforeSending'],
    ['replaces the fields', app => { app.addFilter('beforeSending', head => { (head as { fields: object }).fields = {} }) }, 'beforeSending'],
    ['sets a field of framing', app => { app.addFilter('onRequest', context => { context.setField('Transfer-Encoding', 'chunked') }) }, 'onRequest'],
    ['sets Host', app => { app.addFilter('onRequest', context => { context.setField('Host', 'other') }) }, 'onRequest'],
    ['sets a field to what ends a line', app => { app.addFilter('onRequest', context => { context.setField('x-a', 'a\nb') }) }, 'onRequest'],
    ['sets a path above the root', app => { app.addFilter('onRequest', context => { context.setPath('/../..') }) }, 'onRequest'],
    ['sets a path with a query', app => { app.addFilter('onRequest', context => { context.setPath('/a?b') }) }, 'onRequest'],
    ['sets a query with a space', app => { app.addFilter('onRequest', context => { context.setQuery('?a b') }) }, 'onRequest'],
    ['adds parts without end', app => { app.addFilter('onRequest', context => { for (let i = 0; ; i++) context.addKeyPart(String(i), '') }) }, 'onRequest'],
    ['adds a part without bound', app => { app.addFilter('onRequest', context => { context.addKeyPart('a', 'b'.repeat(1024)) }) }, 'onRequest'],
    ['changes the key after the lookup', app => { app.addFilter('beforeSending', (_head, context) => { context.addKeyPart('a', 'b') }) }, 'beforeSending'],
    ['hook throws', app => { app.addHook('onRequest', () => { throw new Error('secret') }) }, 'onRequest'],
    ['hook rejects', app => { app.addHook('preHandler', async () => { throw new Error('secret') }) }, 'preHandler'],
    ['hook calls back with an error', app => { app.addHook('preHandler', (_request, _reply, done) => { done(new Error('secret')) }) }, 'preHandler']
  ]
  for (const [title, add, phase] of broken) {
    await t.test(title, async t => {
      const origin = await startRawOrigin(t, () => response('body', fresh))
      const proxy = await startProxy(t, origin.url, {
        routes: [{ name: 'bad', upstream: 'default', extensions: { own: true } }, { name: 'good', upstream: 'default', match: { path: '/good' } }],
        holdfast: { extensions: [{ name: 'own', plugin: add as Extension['plugin'] }] }
      })

      for (const path of ['/', '/']) {
        const answer = await talk(proxy.port, get(path))
        t.match(answer, /^HTTP\/1\.1 500 /)
        t.match(answer, '"code":"extension_failed"')
        t.notMatch(answer, /secret|; hit/)
      }
      if (!title.startsWith('hook')) t.match(await talk(proxy.port, get('/good')), /^HTTP\/1\.1 200 /)
      t.equal(await failures(proxy), `holdfast_extension_failures_total{extension="own",phase="${phase}",code="extension_failed"} 2`)
      // What a filter before sending did not let pass is stored none the less.
      t.equal(proxy.control.stats().cache.entries, (phase === 'beforeSending' ? 1 : 0) + (title.startsWith('hook') ? 0 : 1))
    })
  }
})

t.test('who waited for a response that a filter fails on fails with it, and the upstream is asked once', async t => {
  const held: Array<() => void> = []
  const origin = await startRawOrigin(t, ({ socket }) => { held.push(() => { socket.write(response('body', fresh)) }) })
  const proxy = await startProxy(t, origin.url, { route: { extensions: { own: true } }, holdfast: { extensions: [{ name: 'own', plugin: async (app: App) => { app.addFilter('beforeStoring', () => { throw new Error('no') }) } }] } })
  let begun = 0
  proxy.app.server.on('request', () => { begun++ })

  const answers = Array.from({ length: 5 }, () => talk(proxy.port, get('/')))
  await until(() => held.length > 0 && begun === 5)
  held[0]?.()

  for (const answer of await Promise.all(answers)) t.match(answer, /^HTTP\/1\.1 500 [^]*"code":"extension_failed"/)
  t.equal(origin.requests.length, 1)
})

t.test('an unsafe request invalidates although a filter fails on its response (RFC 9111 4.4)', async t => {
  const { ask, proxy } = await startWith(t, app => { app.addFilter('beforeStoring', (_head, { method }) => { if (method === 'POST') throw new Error('no') }) })
  await ask()

  t.match(await talk(proxy.port, 'POST / HTTP/1.1\r\nHost: proxy.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 500 /)

  t.match(await ask(), /fwd=uri-miss/)
})

t.test('a filter or hook may refuse by throwing an error with a status of 4xx', async t => {
  for (const kind of ['filter', 'hook'] as const) {
    const { ask, proxy, origin } = await startWith(t, app => {
      const refuse = (): never => { throw Object.assign(new Error('not you'), { statusCode: 403 }) }
      if (kind === 'filter') app.addFilter('onRequest', refuse)
      else app.addHook('onRequest', refuse)
    })

    t.match(await ask(), /^HTTP\/1\.1 403 [^]*"code":"forbidden"/)
    t.equal(origin.requests.length, 0)
    t.equal(await failures(proxy), '')
  }
})

t.test('a filter that never answers is 504 at its bound, and what it does later does no harm', async t => {
  let late: () => void = () => {}
  const { ask, origin, proxy } = await startWith(t, app => {
    app.addFilter('preHandler', async ({ reply, path }) => {
      if (path === '/never') await new Promise<void>(resolve => { late = resolve })
      if (path === '/never') {
        reply.send('late')
        throw new Error('late')
      }
    })
  }, { extension: { timeoutMs: 20 } })

  t.match(await ask('/never'), /^HTTP\/1\.1 504 [^]*"code":"extension_timeout"/)
  late()
  t.match(await ask('/'), /^HTTP\/1\.1 200 /)
  t.equal(origin.requests.length, 1)
  t.equal(await failures(proxy), 'holdfast_extension_failures_total{extension="own",phase="preHandler",code="extension_timeout"} 1')
})

t.test('an extension hears of a client that leaves by what Fastify and Node have for it', async t => {
  const heard: string[] = []
  const origin = await startRawOrigin(t, () => {})
  const proxy = await startProxy(t, origin.url, {
    holdfast: {
      extensions: [{
        name: 'own',
        plugin: async (app: App) => {
          app.addHook('onRequest', async request => { request.raw.once('close', () => { heard.push('close') }) })
          app.addHook('onRequestAbort', async _request => { heard.push('onRequestAbort') })
        }
      }]
    }
  })

  const socket = openSocket(proxy.port)
  socket.write('GET / HTTP/1.1\r\nHost: proxy.test\r\n\r\n')
  await until(() => origin.requests.length === 1)
  socket.destroy()
  await until(() => heard.length >= 2)

  t.same(heard.sort(), ['close', 'onRequestAbort'])
})

t.test('a hook that calls back twice runs the rest of the chain once', async t => {
  const { ask, origin } = await startWith(t, app => {
    app.addHook('preHandler', (_request, _reply, done) => {
      done()
      done()
    })
  })

  t.match(await ask(), /^HTTP\/1\.1 200 /)
  t.match(await ask('/2'), /^HTTP\/1\.1 200 /)
  t.equal(origin.requests.length, 2)
})

t.test('a filter that answers twice, or answers and then fails, has answered once', async t => {
  const { ask, origin, proxy } = await startWith(t, app => {
    app.addFilter('onRequest', ({ reply }) => {
      reply.code(403).send('first')
      reply.code(200).send('second')
      throw new Error('third')
    })
  })

  const answer = await ask()

  t.match(answer, /^HTTP\/1\.1 403 [^]*first$/)
  t.equal(origin.requests.length, 0)
  t.match(await ask(), /^HTTP\/1\.1 403 /)
  t.equal(await failures(proxy), 'holdfast_extension_failures_total{extension="own",phase="onRequest",code="extension_failed"} 2')
})

t.test('a filter at the end that fails changes nothing, and is counted', async t => {
  const { ask, proxy } = await startWith(t, app => { app.addFilter('onEnd', () => { throw new Error('no') }) })

  t.match(await ask(), /^HTTP\/1\.1 200 /)
  await until(() => proxy.control.stats().cache.entries === 1)
  t.match(await failures(proxy), /phase="onEnd",code="extension_failed"\} 1/)
})

t.test('plugins in every form are registered: asynchronous, calling back, doing neither; one that fails ends the start', async t => {
  const start = async (plugin: Extension['plugin']): Promise<void> => {
    const app = Fastify()
    t.teardown(() => app.close())
    const options: HoldfastOptions = { config: { upstreams: { a: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'a', upstream: 'a', extensions: { own: true } }] }, extensions: [{ name: 'own', plugin }] }
    await app.register(holdfast, options)
  }
  let added = 0
  const filter = (): void => {}
  await start(async app => { app.addFilter('onRequest', filter); added++ })
  await start(app => { app.addFilter('onRequest', filter); added++ })
  await start((app, _options, done) => { setImmediate(() => { app.addFilter('onRequest', filter); added++; done() }) })
  await start(async app => { await app.register(async inner => { inner.addFilter('onRequest', filter); added++ }) })
  t.equal(added, 4)

  await t.rejects(start(async () => { throw new Error('no database') }), { message: /no database/ })
  await t.rejects(start((_app, _options, done) => { done(new Error('no database')) }), { message: /no database/ })
  await t.rejects(start(app => { app.addFilter('onWhatever' as 'onRequest', filter) }), { message: /there is no phase onWhatever/ })
  await t.rejects(start(app => { app.addFilter('onRequest', 'x' as never) }), { message: /must be a function/ })
})

t.test('options of a route that do not fit, or an extension that is not there, stop the start and a reload', async t => {
  const { resolveConfig } = await import('../../src/index.ts')
  const config = (extensions: object) => ({ upstreams: { a: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'a', upstream: 'a', extensions }] })
  const optionsSchema = Type.Object({ mode: Type.Union([Type.Literal('on'), Type.Literal('off')]), key: Type.Optional(Type.String({ minLength: 8, writeOnly: true })) })
  const seen: unknown[] = []
  const extensions: Extension[] = [{ name: 'own', optionsSchema, plugin: async (app: App) => { app.addFilter('onRequest', ({ reply }, options) => { seen.push(options); return reply.send('') }) } }]
  const start = async (used: object) => {
    const app = Fastify()
    t.teardown(() => app.close())
    let reload = async (_config: object): Promise<object> => ({})
    await app.register(holdfast, { config: config(used) as HoldfastOptions['config'], extensions, onControl: control => { reload = next => control.reload(resolveConfig(next)) } })
    return { app, reload: (next: object) => reload(config(next)) }
  }

  await t.rejects(start({ own: { mode: 'ofd', key: 'short' } }), { code: 'invalid_configuration', message: '/routes/0/extensions/own/mode  must be one of on, off; did you mean "off"? (enum; got "ofd")\n/routes/0/extensions/own/key  must have at least 8 characters (min-length)' })
  await t.rejects(start({ own: true }), { message: /\/routes\/0\/extensions\/own\/mode {2}is missing/ })
  await t.rejects(start({ won: true }), { message: /known-extension/ })

  const { app, reload } = await start({ own: { mode: 'on' } })
  await app.inject('/')
  await t.rejects(reload({ own: { mode: 'x' } }), { code: 'invalid_configuration' })
  await app.inject('/')
  t.match(await reload({ own: { mode: 'off' } }), { changed: ['routes/a'] })
  await app.inject('/')
  t.same(seen, [{ mode: 'on' }, { mode: 'on' }, { mode: 'off' }])
})

t.test('other options of an extension are another scope: nothing stored under the old ones is used', async t => {
  const { resolveConfig } = await import('../../src/index.ts')
  const optionsSchema = Type.Object({ mark: Type.String() })
  const origin = await startRawOrigin(t, () => response('body', fresh))
  const config = (mark: string) => ({ upstreams: { default: { targets: [origin.url] } }, routes: [{ name: 'default', upstream: 'default', extensions: { own: { mark } } }] })
  const proxy = await startProxy(t, origin.url, {
    route: { extensions: { own: { mark: 'a' } } },
    holdfast: { extensions: [{ name: 'own', optionsSchema, plugin: async (app: App) => { app.addFilter<{ mark: string }>('beforeStoring', (head, _context, { mark }) => { head.fields['x-mark'] = mark }) } }] }
  })
  t.match(await talk(proxy.port, get('/')), /x-mark: a/)

  await proxy.control.reload(resolveConfig(config('b')))

  t.match(await talk(proxy.port, get('/')), /fwd=uri-miss[^]*x-mark: b|x-mark: b[^]*fwd=uri-miss/)
})

t.test('an application\'s plain hook before the proxy answers, too', async t => {
  const origin = await startRawOrigin(t, () => response('body', fresh))
  const app = Fastify()
  app.addHook('onRequest', async (request, reply) => { if (request.url === '/no') return reply.code(403).send('no') })
  await app.register(holdfast, { config: { upstreams: { a: { targets: [origin.url] } }, routes: [{ name: 'a', upstream: 'a' }] } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo

  t.match(await talk(port, get('/no')), /^HTTP\/1\.1 403 /)
  t.match(await talk(port, get('/')), /^HTTP\/1\.1 200 /)
  t.equal(origin.requests.length, 1)
})
