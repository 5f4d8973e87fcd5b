import t, { type Test } from 'tap'
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import type { RequestTransform, ResponseTransform } from '../../src/index.ts'
import { readAnswer, type Answer } from '../fixtures/answers.ts'
import { startWire, type Wire } from '../fixtures/conformance.ts'
import { get, openSocket, startProxy, talk, until, type ProxySettings } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const content = 'hello world '.repeat(200)
const isHtml = (head: { fields: Record<string, unknown> }): boolean => String(head.fields['content-type']).startsWith('text/html')
const when = ({ fields }: { readonly fields: object }): boolean => isHtml({ fields: fields as Record<string, unknown> })

const whole = (more: object = {}): ResponseTransform => ({ name: 'upper', moment: 'beforeStoring', when, maxBytes: 10_000, whole: (content: Buffer) => content.toString().toUpperCase(), ...more }) as ResponseTransform
const streamed = (more: object = {}): ResponseTransform => ({
  name: 'upper',
  moment: 'beforeStoring',
  when,
  async * stream (content: AsyncIterable<Buffer>) {
    for await (const piece of content) yield piece.toString().toUpperCase()
    yield '!'
  },
  ...more
}) as ResponseTransform

function settings (responses: ResponseTransform[], requests: RequestTransform[] = [], route: object = {}, options: object = {}): ProxySettings {
  return { route: { transforms: [...new Set([...responses, ...requests].map(({ name }) => name))], ...route }, holdfast: { transforms: { responses, requests, ...options } } }
}

interface Resource { readonly fields?: readonly string[], readonly type?: string, readonly body?: string, readonly tag?: string }

function answering (resource: () => Resource = () => ({})) {
  return ({ text }: { text: string }): string => {
    const { fields = ['Cache-Control: max-age=60'], type = 'text/html', body = content, tag = '"v1"' } = resource()
    const head = [`Content-Type: ${type}`, `ETag: ${tag}`, ...fields]
    if ((/\r\nif-none-match: ([^\r]*)/i.exec(text)?.[1] ?? '').split(', ').includes(tag)) return `HTTP/1.1 304 Not Modified\r\n${head.slice(1).join('\r\n')}\r\n\r\n`
    const range = /\r\nrange: bytes=(\d+)-(\d+)/i.exec(text)
    if (range !== null) return response(body.slice(Number(range[1]), Number(range[2]) + 1), [...head, `Content-Range: bytes ${range[1]}-${range[2]}/${body.length}`], '206 Partial Content')
    if (text.startsWith('HEAD')) return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${head.join('\r\n')}\r\n\r\n`
    return response(body, [...head, 'Repr-Digest: sha-256=:x:', 'Accept-Ranges: bytes'])
  }
}

async function wireFor (t: Test, responses: ResponseTransform[], resource?: () => Resource, route: object = {}, options: object = {}): Promise<Wire> {
  return startWire(t, answering(resource), settings(responses, [], route, options))
}
async function asking (wire: Wire, fields: readonly string[] = [], path = '/', method = 'GET'): Promise<Answer> {
  return readAnswer(await wire.ask(path, fields, method))
}

for (const [kind, make, expected] of [['whole', whole, content.toUpperCase()], ['streamed', streamed, `${content.toUpperCase()}!`]] as const) {
  t.test(`before storing: content is transformed once, and its head is true of it (${kind})`, async t => {
    let calls = 0
    const wire = await wireFor(t, [make({ fields: () => { calls++; return { 'Content-Language': 'en', 'x-removed': null } } })], () => ({ fields: ['Cache-Control: max-age=60', 'X-Removed: 1'] }))

    const miss = await asking(wire)
    const hit = await asking(wire)

    for (const answer of [miss, hit]) {
      t.equal(answer.body.toString(), expected)
      t.ok(answer.complete)
      t.equal(answer.fields['etag'], 'W/"v1~holdfast.upper"')
      t.equal(answer.fields['content-language'], 'en')
      for (const name of ['repr-digest', 'accept-ranges', 'x-removed']) t.equal(answer.fields[name], undefined, name)
    }
    t.match(hit.fields['cache-status'], /; hit/)
    t.equal(calls, 1)
    t.match(wire.origin.requests[0], /accept-encoding: identity/, 'nothing here can look into what is compressed')
  })

  t.test(`before sending: each response is transformed, of what is stored as it came (${kind})`, async t => {
    const clients: string[] = []
    const wire = await wireFor(t, [make({ moment: 'beforeSending', fields: ({ forwarding }: { forwarding: { clientAddress: string } }) => { clients.push(forwarding.clientAddress); return {} } })])

    const miss = await asking(wire)
    const hit = await asking(wire)
    const head = await asking(wire, [], '/', 'HEAD')

    for (const answer of [miss, hit]) {
      t.equal(answer.body.toString(), expected)
      t.equal(answer.fields['etag'], 'W/"v1~holdfast.upper"')
      t.equal(answer.fields['repr-digest'], undefined)
    }
    t.match(hit.fields['cache-status'], /; hit/)
    t.equal(head.fields['etag'], 'W/"v1~holdfast.upper"')
    t.notMatch(head.fields['content-length'], String(content.length))
    t.equal(clients.length, 3)
    t.equal(wire.origin.requests.length, 1)
  })

  for (const moment of ['beforeStoring', 'beforeSending'] as const) {
    t.test(`a client's copy is confirmed by its tag, stored or not, fresh or stale (${kind}, ${moment})`, async t => {
      let tag = '"v1"'
      const wire = await wireFor(t, [make({ moment })], () => ({ tag }))
      const own = ['If-None-Match: W/"v1~holdfast.upper"']

      const forwarded = await asking(wire, own, '/a')
      const first = await asking(wire, [], '/b')
      const hit = await asking(wire, own, '/b')
      wire.pass(61)
      const validated = await asking(wire, own, '/b')
      const whole = await asking(wire, [], '/b')
      for (const answer of [forwarded, hit, validated]) {
        t.equal(answer.status, 304)
        t.equal(answer.fields['etag'], 'W/"v1~holdfast.upper"')
      }
      t.ok(whole.body.equals(first.body))
      t.equal(wire.origin.requests.length, 3)
      tag = '"v2"'
      wire.pass(61)
      t.equal((await asking(wire, own, '/b')).status, 200)
    })

    t.test(`no part of what is transformed gets past the transformation (${kind}, ${moment})`, async t => {
      const wire = await wireFor(t, [make({ moment })])

      const miss = await asking(wire, ['Range: bytes=0-4'])
      const hit = await asking(wire, ['Range: bytes=0-4'])

      t.equal(miss.status, 200)
      t.equal(miss.body.toString(), expected)
      t.notMatch(hit.body.toString(), 'hello')
      t.match(hit.body.toString(), 'HELLO')
      t.equal(wire.origin.requests.length, 2, 'asked again for the whole')
      t.notMatch(wire.origin.requests[1], /\r\nrange: /)
    })

    t.test(`what the transformation is not for stays as it is, ranges included (${kind}, ${moment})`, async t => {
      const wire = await wireFor(t, [make({ moment })], () => ({ type: 'video/mp4' }))

      const part = await asking(wire, ['Range: bytes=0-4'])
      const all = await asking(wire)

      t.equal(part.status, 206)
      t.equal(part.body.toString(), 'hello')
      t.equal(all.body.toString(), content)
      t.equal(all.fields['etag'], '"v1"')
    })

    t.test(`nothing is transformed that forbids it, or is coded (${kind}, ${moment})`, async t => {
      for (const field of ['Cache-Control: max-age=60, no-transform', 'Content-Encoding: x-own']) {
        const wire = await wireFor(t, [make({ moment })], () => ({ fields: [field] }))
        t.equal((await asking(wire)).body.toString(), content)
      }
    })
  }
}

t.test('transformations act in the order of the route, compression last; tags say all of them', async t => {
  for (const moment of ['beforeStoring', 'beforeSending'] as const) {
    const second: ResponseTransform = { name: 'mark', version: '2', moment, when, maxBytes: 10_000, whole: content => `${content}<` }
    const wire = await wireFor(t, [streamed({ moment }), second], undefined, { response: { compression: { enabled: true, codings: ['gzip'] } } })

    for (const answer of [await asking(wire, ['Accept-Encoding: gzip']), await asking(wire, ['Accept-Encoding: gzip'])]) {
      t.equal(gunzipSync(answer.body).toString(), `${content.toUpperCase()}!<`)
      t.equal(answer.fields['etag'], 'W/"v1~holdfast.upper+mark@2+gzip"')
      t.equal(answer.fields['vary'], 'accept-encoding')
    }
    const original = await asking(wire)
    t.equal(original.fields['content-encoding'], undefined, 'a client that accepts no coding gets none')
    t.equal(original.body.toString(), `${content.toUpperCase()}!<`)
    t.equal((await asking(wire, ['Accept-Encoding: gzip', 'If-None-Match: W/"v1~holdfast.upper+mark@2+gzip"'])).status, 304)
    t.match(wire.origin.requests[0], /accept-encoding: identity/)
    t.equal(wire.origin.requests.length, moment === 'beforeSending' ? 1 : 2, moment)
  }
})

t.test('a failure before the head is sent is 500, is not stored, and is counted', async t => {
  const failing = (): never => { throw new Error('secret reason') }
  for (const more of [{ whole: failing }, { whole: async () => { throw new Error('secret reason') } }, { whole: () => 5 }, { when: failing }, { fields: failing }, { fields: () => ({ 'content-length': '1' }) }, { fields: () => ({ 'x-a': 'a\r\nb' }) }]) {
    for (const moment of ['beforeStoring', 'beforeSending']) {
      const wire = await wireFor(t, [whole({ ...more, moment })])

      const answers = [await asking(wire), await asking(wire)]

      for (const answer of answers) {
        t.equal(answer.status, 500)
        t.match(answer.body.toString(), '"code":"transform_failed"')
        t.notMatch(answer.body.toString(), 'secret')
      }
      const [failure] = wire.proxy.control.stats().transforms.failures
      t.strictSame(failure, { transform: 'upper', code: 'transform_failed', count: 2 })
      if (moment === 'beforeStoring') t.equal(wire.origin.requests.length, 2)
    }
  }
})

t.test('a failure while content streams cuts it short, and nothing is stored', async t => {
  for (const moment of ['beforeStoring', 'beforeSending']) {
    const wire = await wireFor(t, [streamed({
      moment,
      async * stream () {
        yield 'begun'
        throw new Error('reason')
      }
    })])

    const answer = await asking(wire)

    t.equal(answer.status, 200)
    t.notOk(answer.complete)
    await until(() => wire.proxy.control.stats().transforms.failures.length === 1)
    t.notOk((await asking(wire)).complete)
  }
})

t.test('a stream of pieces need not be asynchronous', async t => {
  for (const moment of ['beforeStoring', 'beforeSending']) {
    const wire = await wireFor(t, [streamed({ moment, stream: () => ['in ', Buffer.from('place')] })])
    t.equal((await asking(wire)).body.toString(), 'in place')
  }
})

t.test('content that the upstream cuts short stays so, whatever is made of it', async t => {
  for (const moment of ['beforeStoring', 'beforeSending']) {
    for (const make of [whole, streamed]) {
      const forgiving = {
        moment,
        async * stream (pieces: AsyncIterable<Buffer>) {
          try {
            for await (const piece of pieces) yield piece
          } catch {}
        }
      }
      const origin = await startRawOrigin(t, ({ socket }) => { socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nshort', () => { socket.destroy() }) })
      const transform = make === whole ? whole({ moment }) : streamed(forgiving)
      const proxy = await startProxy(t, origin.url, settings([transform]))
      const ask = async (): Promise<Answer> => readAnswer(await talk(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'))

      for (const answer of [await ask(), await ask()]) t.ok(answer.status === 502 || !answer.complete, `${moment} ${answer.status}`)
      t.equal(proxy.control.stats().cache.entries, 0)
      t.equal(proxy.control.stats().transforms.heldBytes, 0)
    }
  }
})

const never = new Promise<never>(() => {})

t.test('a transformation of responses that does not come to an end is given up in time, is not stored, and is counted', async t => {
  const hanging: Array<[string, (more: object) => ResponseTransform, object]> = [
    ['whole', whole, { whole: () => never }],
    ['at its first piece', streamed, { async * stream () { await never } }],
    ['behind a piece', streamed, { async * stream () { yield 'begun'; await never } }],
    ['at the end', streamed, { async * stream (pieces: AsyncIterable<Buffer>) { for await (const piece of pieces) yield piece; await never } }]
  ]
  for (const moment of ['beforeStoring', 'beforeSending']) {
    for (const [title, make, more] of hanging) {
      const wire = await wireFor(t, [make({ ...more, moment })], undefined, {}, { timeoutMs: 50 })

      const answer = await asking(wire)

      if (make === whole) {
        t.equal(answer.status, 504, `${moment}, ${title}`)
        t.match(answer.body.toString(), '"code":"transform_timeout"')
      } else {
        t.notOk(answer.complete, `${moment}, ${title}`)
      }
      await until(() => wire.proxy.control.stats().transforms.failures.length === 1)
      t.strictSame(wire.proxy.control.stats().transforms.failures, [{ transform: 'upper', code: 'transform_timeout', count: 1 }])
      if (moment === 'beforeStoring') t.equal(wire.proxy.control.stats().cache.entries, 0)
    }
  }
})

t.test('a transformation of requests that does not come to an end is given up in time', async t => {
  const origin = await startRawOrigin(t, () => undefined)
  for (const more of [{ whole: () => never }, { maxBytes: undefined, whole: undefined, async * stream () { yield 'a'; await never } }]) {
    const transform = Object.fromEntries(Object.entries(request(more)).filter(([, value]) => value !== undefined)) as unknown as RequestTransform
    const proxy = await startProxy(t, origin.url, settings([], [transform], {}, { timeoutMs: 50 }))

    const answer = readAnswer(await talk(proxy.port, put('/', 'hello')))

    t.equal(answer.status, 504)
    t.match(answer.body.toString(), '"code":"transform_timeout"')
    await until(() => origin.open === 0)
  }
})

t.test('a transformation is not to blame for an upstream that sends slowly, nor for a client that reads slowly', async t => {
  for (const moment of ['beforeStoring', 'beforeSending']) {
    const large = 'x'.repeat(4 * 1024 * 1024)
    const origin = await startRawOrigin(t, ({ socket, text }) => {
      if (text.startsWith('GET /large')) return response(large, ['Content-Type: text/html'])
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n')
      for (const [index, piece] of ['a', 'b', 'c'].entries()) setTimeout(() => { socket.write(piece) }, 150 * (index + 1))
      return undefined
    })
    const proxy = await startProxy(t, origin.url, settings([streamed({ moment })], [], {}, { timeoutMs: 60 }))

    t.equal(readAnswer(await talk(proxy.port, get('/slow'))).body.toString(), 'ABC!')

    const socket = openSocket(proxy.port)
    let length = 0
    socket.write(get('/large'))
    await new Promise(resolve => { socket.once('data', resolve) })
    socket.pause()
    await new Promise(resolve => { setTimeout(resolve, 300) })
    socket.on('data', piece => { length += piece.length }).resume()
    await new Promise(resolve => { socket.once('close', resolve) })
    t.ok(length > large.length - 70_000, 'all but what came before the pause')
    t.strictSame(proxy.control.stats().transforms.failures, [])
  }
})

t.test('a transformation that an extension registers has the time of the extension', async t => {
  const origin = await startRawOrigin(t, answering())
  const plugin = (app: FastifyInstance): void => { app.transformResponse(whole({ whole: () => never })) }
  const proxy = await startProxy(t, origin.url, { route: { transforms: ['upper'] }, holdfast: { extensions: [{ plugin, name: 'own', timeoutMs: 50 }] } })

  t.equal(readAnswer(await talk(proxy.port, get('/'))).status, 504)
})

t.test('a client that leaves while a transformation hangs, or waits for its upstream, ends it all', async t => {
  for (const moment of ['beforeStoring', 'beforeSending']) {
    for (const stream of [
      async function * (pieces: AsyncIterable<Buffer>) { for await (const piece of pieces) { yield piece; await never } },
      async function * (pieces: AsyncIterable<Buffer>) { for await (const piece of pieces) yield piece }
    ]) {
      const origin = await startRawOrigin(t, ({ socket }) => { socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nbegun') })
      const proxy = await startProxy(t, origin.url, settings([streamed({ moment, stream })]))

      await talk(proxy.port, get('/'), /begun/)

      await until(() => origin.open === 0)
      t.equal(origin.open, 0)
    }
  }
})

t.test('content above the bound passes unchanged or fails, announced or not', async t => {
  const chunked = `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n${content.length.toString(16)}\r\n${content}\r\n0\r\n\r\n`
  for (const moment of ['beforeStoring', 'beforeSending']) {
    for (const answer of [answering(), () => chunked]) {
      const passing = await startWire(t, answer, settings([whole({ moment, maxBytes: 100, aboveMax: 'pass' })]))
      t.equal((await asking(passing)).body.toString(), content)
      t.equal((await asking(passing)).body.toString(), content)
      const failing = await startWire(t, answer, settings([whole({ moment, maxBytes: 100 })]))
      t.equal((await asking(failing)).status, 502)
      t.match((await asking(failing)).body.toString(), 'transform_too_large')
    }
  }
})

t.test('what is collected at one time is bounded over all', async t => {
  const wire = await wireFor(t, [whole()], undefined, {}, { maxHeldBytes: 100 })

  const answer = await asking(wire)

  t.equal(answer.status, 503)
  t.match(answer.body.toString(), 'transform_busy')
  t.equal(wire.proxy.control.stats().transforms.heldBytes, 0)
})

t.test('what is collected counts until the transformation is done with it', async t => {
  const body = 'x'.repeat(60)
  for (const moment of ['beforeStoring', 'beforeSending']) {
    const pending: Array<() => void> = []
    const slow = async (content: Buffer): Promise<Buffer> => { await new Promise<void>(resolve => { pending.push(resolve) }); return content }
    const wire = await wireFor(t, [whole({ moment, whole: slow })], () => ({ body }), {}, { maxHeldBytes: 100 })

    const first = asking(wire, [], '/first')
    await until(() => pending.length === 1)
    t.equal(wire.proxy.control.stats().transforms.heldBytes, 60)
    let second: Answer | null = null
    asking(wire, [], '/second').then(answer => { second = answer }, t.error)
    await until(() => second !== null || pending.length === 2)
    for (const go of pending) go()
    t.match(second, { status: 503 })
    t.equal((await first).body.toString(), body)
    t.equal(wire.proxy.control.stats().transforms.heldBytes, 0)
  }
})

t.test('requests: what is collected counts until the transformation is done with it, however that ends', async t => {
  const origin = await startRawOrigin(t, () => response())
  const held: number[] = []
  let proxy: Awaited<ReturnType<typeof startProxy>> | null = null
  const looking = (end: () => unknown) => async () => { held.push(proxy?.control.stats().transforms.heldBytes ?? -1); return await end() }
  for (const end of [() => 'HELLO', () => 7, () => { throw new Error('reason') }, () => never]) {
    proxy = await startProxy(t, origin.url, settings([], [request({ whole: looking(end) })], {}, { timeoutMs: 50 }))
    await talk(proxy.port, put('/', 'hello'))
    t.equal(proxy.control.stats().transforms.heldBytes, 0)
  }
  t.strictSame(held, [5, 5, 5, 5])
})

t.test('those who wait for one response get it transformed, and fail with it', async t => {
  for (const fails of [false, true]) {
    const pending: Array<() => void> = []
    const origin = await startRawOrigin(t, ({ socket, text }) => { pending.push(() => { socket.write(answering()({ text })) }) })
    const proxy = await startProxy(t, origin.url, settings([whole(fails ? { whole: async () => { throw new Error('reason') } } : {})]))
    const asked = [1, 2, 3].map(() => talk(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'))
    await until(() => proxy.control.stats().cache.misses === 3)
    pending[0]?.()

    for (const answer of (await Promise.all(asked)).map(readAnswer)) {
      t.equal(answer.status, fails ? 500 : 200)
      if (!fails) t.equal(answer.body.toString(), content.toUpperCase())
    }
    t.equal(origin.requests.length, 1)
  }
})

t.test('a route that names what is not registered, and a transformation that is none, are refused', async t => {
  await t.rejects(startProxy(t, 'http://127.0.0.1:1', { route: { transforms: ['w', 'missing'] }, holdfast: { transforms: { responses: [whole({ name: 'w' })] } } }), {
    code: 'invalid_configuration', problems: [{ path: '/routes/0/transforms/1', rule: 'known-transform', value: 'missing' }]
  })
  const wrong: Array<[object, RegExp]> = [
    [{ name: 'a b' }, /name must be/], [{ version: '' }, /version/], [{ when: undefined }, /when/], [{ fields: 1 }, /fields/], [{ maxBytes: 0 }, /maxBytes/], [{ moment: 'later' }, /moment/],
    [{ stream: () => {} }, /either stream or whole/]
  ]
  for (const [more, rule] of wrong) await t.rejects(startProxy(t, 'http://127.0.0.1:1', { holdfast: { transforms: { responses: [whole(more)] } } }), rule)
  await t.rejects(startProxy(t, 'http://127.0.0.1:1', { holdfast: { transforms: { responses: [whole(), whole()] } } }), /registered already/)
})

const put = (path: string, body: string, fields: readonly string[] = []): string => [`PUT ${path} HTTP/1.1`, 'Host: a', 'Connection: close', `Content-Length: ${body.length}`, ...fields, '', body].join('\r\n')
const request = (more: object = {}): RequestTransform => ({ name: 'upper', when: () => true, maxBytes: 100, whole: (content: Buffer) => content.toString().toUpperCase(), ...more }) as RequestTransform

t.test('request content is transformed before it goes upstream, and its length is right', async t => {
  const origin = await startRawOrigin(t, ({ text, socket }) => {
    if (/transfer-encoding: chunked/i.test(text)) socket.destroy()
    return response()
  })
  const proxy = await startProxy(t, origin.url, settings([], [
    request({ fields: () => ({ 'Content-Type': 'text/upper', 'X-Gone': null }) }),
    request({ name: 'longer', when: ({ target }: { target: { path: string } }) => target.path === '/longer', whole: async (content: Buffer) => Buffer.concat([content, Buffer.from('!!')]) })
  ]))

  t.equal(readAnswer(await talk(proxy.port, put('/a', 'hello', ['X-Gone: 1', 'Content-Digest: sha-256=:x:']))).status, 200)
  t.equal(readAnswer(await talk(proxy.port, put('/longer', 'hello'))).status, 200)
  t.equal(readAnswer(await talk(proxy.port, 'PUT /chunked HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n')).status, 200)
  t.equal(readAnswer(await talk(proxy.port, 'GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).status, 200)

  await until(() => origin.requests.length === 4)
  t.match(origin.requests[0], /content-length: 5\r\n/i)
  t.match(origin.requests[0], /content-type: text\/upper\r\n/i)
  t.notMatch(origin.requests[0], /x-gone|content-digest/i)
  t.match(origin.requests[1], /content-length: 7\r\n/i)
  t.match(origin.requests[2], /content-length: 5\r\n/i)
  t.notMatch(origin.requests[3], /content-length|content-type/i)
})

t.test('the content itself arrives, whole, emptied and streamed', async t => {
  let seen = ''
  const server = createServer((incoming, outgoing) => {
    seen = ''
    incoming.on('data', chunk => { seen += chunk })
    incoming.on('end', () => { outgoing.end('ok') })
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.closeAllConnections(); server.close() })
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const rows: Array<[RequestTransform, string]> = [
    [request(), 'HELLO'],
    [request({ whole: () => '' }), ''],
    [{ name: 'upper', when: () => true, async * stream (pieces) { for await (const piece of pieces) yield piece.toString().toUpperCase(); yield '!' } }, 'HELLO!'],
    [request({ when: () => false }), 'hello']
  ]
  for (const [transform, expected] of rows) {
    const proxy = await startProxy(t, url, settings([], [transform]))
    t.equal(readAnswer(await talk(proxy.port, put('/', 'hello'))).status, 200)
    t.equal(seen, expected)
  }
})

t.test('request content above the bound is 413, and a failure is 500 without a word to the upstream', async t => {
  const origin = await startRawOrigin(t, () => response())
  const failing = (): never => { throw new Error('secret') }
  const rows: Array<[RequestTransform, number, string]> = [
    [request({ maxBytes: 4 }), 413, 'payload_too_large'],
    [request({ whole: failing }), 500, 'transform_failed'],
    [request({ when: failing }), 500, 'transform_failed'],
    [request({ whole: async () => 7 }), 500, 'transform_failed'],
    [request({ fields: () => ({ Host: 'other' }) }), 500, 'transform_failed']
  ]
  for (const [transform, status, code] of rows) {
    const proxy = await startProxy(t, origin.url, settings([], [transform]))
    const answer = readAnswer(await talk(proxy.port, put('/', 'hello')))
    t.equal(answer.status, status)
    t.match(answer.body.toString(), `"code":"${code}"`)
  }
  t.equal(origin.requests.length, 0)

  const proxy = await startProxy(t, origin.url, settings([], [request()], { bodyBytes: 3 }))
  t.equal(readAnswer(await talk(proxy.port, put('/', 'hello'))).status, 413)
  t.equal(readAnswer(await talk(proxy.port, 'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', /\}\}$/)).status, 413)
  const silent = await startRawOrigin(t, () => {})
  const streaming = await startProxy(t, silent.url, settings([], [{ name: 'bad', when: () => true, async * stream () { yield 'a'; throw new Error('secret') } }]))
  t.equal(readAnswer(await talk(streaming.port, put('/', 'hello'))).status, 500)
})
