import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { holdfast, resolveConfig, type ConfigInput, type HoldfastControl, type HoldfastOptions } from '../../src/index.ts'
import { get, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const config = (url: string, extra: { cache?: { heuristic: boolean } } = {}): HoldfastOptions['config'] => ({ upstreams: { default: { targets: [url] } }, routes: [{ name: 'all', upstream: 'default', ...extra }] })
const fresh = ['Cache-Control: max-age=60']

t.test('a configuration written in TypeScript leaves out what has defaults, and may be made of parts', async t => {
  const routes: NonNullable<ConfigInput['routes']> = [{ name: 'all', upstream: 'shop', match: { path: '/a/*' }, cache: { ttl: [{ status: [200], ttl: '5m' }] } }]
  const given: ConfigInput = { upstreams: { shop: { targets: ['http://127.0.0.1:3000'] } }, routes, cache: undefined }

  t.match(resolveConfig(given).routes, [{ cache: { ttl: [{ ttl: 300_000 }] } }])
})

t.test('what is no configuration is told as a mistake in one', async t => {
  for (const given of [undefined, null, 'file.yaml', []]) {
    const app = Fastify()
    t.teardown(() => app.close())
    await t.rejects(async () => { await app.register(holdfast, { config: given } as never) }, { code: 'invalid_configuration', problems: [{ path: '', rule: 'type' }] }, JSON.stringify(given))
  }
})

t.test('an option that the plugin does not know is an error that names it and what was meant; those of Fastify are its own', async t => {
  const given = { config: config('http://127.0.0.1:1') }
  const fails = async (options: object, error: object): Promise<void> => {
    const app = Fastify()
    t.teardown(() => app.close())
    await t.rejects(async () => { await app.register(holdfast, options as never) }, { code: 'invalid_configuration', ...error })
  }
  await fails({ ...given, stroe: {} }, { message: 'app.register(holdfast, options)  /stroe  unknown option; did you mean "store"? (unknown-option)', problems: [{ path: '/stroe', rule: 'unknown-option', suggestion: 'store' }] })
  await fails({ ...given, onControll () {}, 'rate/limits': undefined }, { problems: [{ suggestion: 'onControl' }, { path: '/rate~1limits' }] })
  await fails({ ...given, prefx: '/shop' }, { problems: [{ suggestion: 'prefix' }] })
  await fails(await given.config, { problems: [{ path: '/upstreams', message: /belongs into "config"/ }, { path: '/routes', message: /belongs into "config"/ }] })
  await fails({ ...given, transforms: { respones: [], timeout: 5, maxHeldBytes: 1 } }, { problems: [{ path: '/transforms/respones', rule: 'unknown-option', suggestion: 'responses' }, { path: '/transforms/timeout', suggestion: 'timeoutMs' }] })
  await fails({ ...given, transforms: 'shout' }, { problems: [{ path: '/transforms', rule: 'type' }] })
  await fails({ ...given, transforms: [] }, { problems: [{ path: '/transforms', rule: 'type' }] })
  await fails({ ...given, toString: 1 }, { problems: [{ path: '/toString', message: 'unknown option' }] })

  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(holdfast, { ...given, prefix: '/shop', logLevel: 'error', logSerializers: {}, name: 'shop', encapsulate: true } as never)
  t.equal((await app.inject('/shop')).statusCode, 502)
})

t.test('a line of the log names its request once', async t => {
  const lines: string[] = []
  const app = Fastify({ logger: { stream: { write: line => { lines.push(line) } } } })
  await app.register(holdfast, { config: config('http://127.0.0.1:1') })
  t.teardown(() => app.close())
  t.equal((await app.inject('/')).statusCode, 502)

  const failed = lines.find(line => line.includes('upstream failed')) ?? ''
  t.equal(failed.split('"reqId":"req-1"').length, 2, failed)
})

t.test('registers twice in one application under prefixes, with caches of their own', async t => {
  const a = await startRawOrigin(t, ({ text }) => response(`a ${text.split(' ')[1]}`, fresh))
  const b = await startRawOrigin(t, ({ text }) => response(`b ${text.split(' ')[1]}`, fresh))
  const app = Fastify()
  app.get('/own', async () => 'own')
  await app.register(holdfast, { prefix: '/a', config: config(a.url) })
  await app.register(holdfast, { prefix: '/b', config: config(b.url) })
  t.teardown(() => app.close())

  for (const outcome of [/fwd=uri-miss/, /; hit/]) {
    for (const name of ['a', 'b']) {
      const answer = await app.inject(`/${name}/page`)
      t.equal(answer.body, `${name} /page`)
      t.match(answer.headers['cache-status'], outcome)
    }
  }
  t.equal((await app.inject('/own')).body, 'own')
  t.equal((await app.inject('/a')).body, 'a /')
})

t.test('a path cannot leave the prefix', async t => {
  const origin = await startRawOrigin(t, () => response())
  const app = Fastify()
  await app.register(holdfast, { prefix: '/shop', config: config(origin.url) })
  t.teardown(() => app.close())

  for (const url of ['/shop/%2e%2e/admin', '/shop/..%2fadmin', '/shop/../admin']) {
    t.ok([400, 404].includes((await app.inject(url)).statusCode), url)
  }
  t.equal(origin.requests.length, 0)
})

t.test('onSend hooks of the application run on hits as well', async t => {
  const origin = await startRawOrigin(t, () => response('body', fresh))
  const app = Fastify()
  app.addHook('onSend', async (_request, reply) => { reply.header('x-app', 'seen') })
  await app.register(holdfast, { config: config(origin.url) })
  t.teardown(() => app.close())

  await app.inject('/')
  const hit = await app.inject('/')

  t.match(hit.headers['cache-status'], '; hit')
  t.equal(hit.headers['x-app'], 'seen')
  t.equal(hit.body, 'body')
  t.equal(hit.headers['content-type'], undefined, 'none is invented')
})

t.test('onSend hooks of the application take no field from a response, whatever its name', async t => {
  for (const lines of [['__proto__: 1'], ['__proto__: 1', '__proto__: 2'], ['constructor: 1', 'toString: 2']]) {
    const origin = await startRawOrigin(t, () => response('article', ['Cache-Control: max-age=60', ...lines]))
    const app = Fastify()
    app.addHook('onSend', async () => {})
    await app.register(holdfast, { config: config(origin.url) })
    await app.listen({ host: '127.0.0.1', port: 0 })
    t.teardown(() => app.close())
    const { port } = app.server.address() as AddressInfo

    for (const way of ['miss', 'hit']) {
      const [head = ''] = (await talk(port, get('/'))).split('\r\n\r\n')
      const named = head.toLowerCase().split('\r\n').filter(line => /^(?:__proto__|constructor|tostring|\d+): /.test(line))
      t.same(named, lines.map(line => line.toLowerCase()), `${way}: ${lines.join()}`)
    }
  }
})

t.test('an onSend hook that takes its time loses nothing of the content, stored or not, whole or cut short', async t => {
  const origin = await startRawOrigin(t, ({ text, socket }) => {
    if (text.startsWith('GET /cut')) socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    else socket.write(response('body'.repeat(50_000), text.startsWith('GET /stored') ? fresh : ['Cache-Control: no-store']))
  })
  const app = Fastify()
  app.addHook('onSend', async () => { await new Promise(resolve => { setTimeout(resolve, 10) }) })
  await app.register(holdfast, { config: config(origin.url) })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo

  for (const path of ['/stored', '/stored', '/passing', '/passing']) {
    const answer = await talk(port, get(path))
    t.equal(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'body'.repeat(50_000), path)
  }
  t.notMatch(await talk(port, get('/cut')), /\r\n0\r\n\r\n$/, 'cut short: no last chunk')
  await t.rejects(talk(port, 'GET /cut HTTP/1.0\r\nHost: a\r\n\r\n', undefined, true), { code: 'ECONNRESET' })
})

t.test('closes everything it opened: of two proxies with all filters no handle is left', async t => {
  const origin = await startRawOrigin(t, () => response('body', fresh))
  /** Open handles of this process, without what only passes. */
  const handles = (): string => process.getActiveResourcesInfo().filter(name => !/^(?:FSReq|CloseReq|TickObject|Immediate|PipeWrap|TTYWrap)/.test(name)).sort().join()
  const originAlone = 'TCPServerWrap'
  const app = Fastify()
  for (const prefix of ['/a', '/b']) {
    await app.register(holdfast, {
      prefix,
      config: {
        upstreams: { default: { targets: [origin.url], health: { path: '/health', interval: '1s' }, timeouts: { total: '30s' } } },
        routes: [{ name: 'all', upstream: 'default', rateLimit: { max: prefix === '/a' ? 10 : 20 } }],
        loadShedding: { eventLoopDelay: '10s' }
      }
    })
  }
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  for (const path of ['/a/1', '/a/2', '/b/1', '/b/1']) t.match(await talk(port, get(path)), /^HTTP\/1\.1 200 /)
  t.not(handles(), originAlone)
  t.ok(origin.open > 0)

  await app.close()
  await until(() => origin.open === 0 && handles() === originAlone)

  t.equal(handles(), originAlone)
})

t.test('reload swaps routes, keeps what is stored, and refuses what cannot be used', async t => {
  const held: Array<() => void> = []
  const origin = await startRawOrigin(t, ({ socket, text }) => {
    if (text.startsWith('GET /slow')) {
      held.push(() => { socket.write(response('slow')) })
      return
    }
    socket.write(response('first', fresh))
  })
  const other = await startRawOrigin(t, () => response('second', fresh))
  const app = Fastify()
  let control: HoldfastControl | null = null
  await app.register(holdfast, { config: config(origin.url), onControl: made => { control = made } })
  t.teardown(() => app.close())
  await app.inject('/kept')
  const slow = app.inject('/slow')
  await until(() => held.length > 0)
  const running = control as unknown as HoldfastControl

  const { resolveConfig } = await import('../../src/index.ts')
  const changed = await running.reload(resolveConfig(config(other.url)))

  t.same(changed.changed, ['upstreams/default'])
  t.match((await app.inject('/kept')).headers['cache-status'], '; hit', 'stored responses survive')
  t.equal((await app.inject('/new')).body, 'second', 'new requests go to the new upstream')
  held[0]?.()
  t.equal((await slow).body, 'slow', 'the request in flight finishes on the old one')

  await running.reload(resolveConfig(config(other.url, { cache: { heuristic: false } })))
  t.match((await app.inject('/kept')).headers['cache-status'], 'uri-miss', 'other cache rules: stored anew')
  t.throws(() => resolveConfig({ routes: [] }), { code: 'invalid_configuration' })
})
