import fc from 'fast-check'
import t, { type Test } from 'tap'
import { brotliCompressSync, createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib'
import { decoded, readAnswer, type Answer } from '../fixtures/answers.ts'
import { startWire, type Wire } from '../fixtures/conformance.ts'
import { openSocket, startProxy, talk, until, type ProxySettings } from '../fixtures/proxy.ts'
import { startRawOrigin } from '../fixtures/raw-origin.ts'
import { chooseCoding } from '../../src/transform/codings.ts'

const text = 'All happy families are alike; each unhappy family is unhappy in its own way. '.repeat(60)
const settings = (compression: object = {}, route: object = {}): ProxySettings => ({ route: { response: { compression: { enabled: true, ...compression } }, ...route } })

interface Resource {
  readonly status?: string
  readonly fields?: readonly string[]
  readonly body?: string
  readonly tag?: string | null
  readonly type?: string
}

/** An origin server with one content, that knows conditions and ranges and no codings. */
function answering (resource: () => Resource = () => ({})) {
  return ({ text: asked }: { text: string }): Buffer => {
    const { status = '200 OK', fields = ['Cache-Control: max-age=60'], body = text, tag = '"v1"', type = 'text/html; charset=utf-8' } = resource()
    const head = [...tag === null ? [] : [`ETag: ${tag}`], ...fields]
    const listed = /\r\nif-none-match: ([^\r]*)/i.exec(asked)?.[1] ?? ''
    const required = /\r\nif-match: ([^\r]*)/i.exec(asked)?.[1]
    if (required !== undefined && tag !== null && !required.split(', ').includes(tag)) return octets('412 Precondition Failed', ['Content-Length: 0'], '')
    if (tag !== null && listed.split(', ').includes(tag)) return octets('304 Not Modified', head, '')
    const range = /\r\nrange: bytes=(\d+)-(\d+)/i.exec(asked)
    const ifRange = /\r\nif-range: ([^\r]*)/i.exec(asked)?.[1]
    if (range !== null && (ifRange === undefined || ifRange === tag)) {
      const [first, last] = [Number(range[1]), Math.min(Number(range[2]), body.length - 1)]
      return octets('206 Partial Content', [`Content-Type: ${type}`, `Content-Range: bytes ${first}-${last}/${body.length}`, `Content-Length: ${last - first + 1}`, ...head], body.slice(first, last + 1))
    }
    return octets(status, [`Content-Type: ${type}`, `Content-Length: ${body.length}`, 'Accept-Ranges: bytes', ...head], asked.startsWith('HEAD') ? '' : body)
  }
}

function octets (status: string, fields: readonly string[], body: string): Buffer {
  return Buffer.from([`HTTP/1.1 ${status}`, ...fields, '', body].join('\r\n'), 'latin1')
}

async function asking (wire: Wire, fields: readonly string[] = [], path = '/', method = 'GET'): Promise<Answer> {
  return readAnswer(await wire.ask(path, fields, method))
}

const accepting = (value: string, ...more: string[]): string[] => [`Accept-Encoding: ${value}`, ...more]

async function wireFor (t: Test, resource?: () => Resource, compression?: object, route?: object): Promise<Wire> {
  return startWire(t, answering(resource), settings(compression, route))
}

t.test('of the codings that a client accepts the one with the highest weight is chosen, of equal ones the first that the route lists (RFC 9110 12.5.3)', async t => {
  const rows: ReadonlyArray<[value: string | undefined, coding: string | null, takesIdentity?: boolean]> = [
    [undefined, 'identity'], ['', 'identity'], ['gzip', 'gzip'], ['x-gzip', 'gzip'], ['GZIP', 'gzip'], ['gzip, deflate, br, zstd', 'zstd'], ['gzip, br', 'br'],
    ['br;q=0.5, gzip;q=0.8', 'gzip'], ['deflate', 'identity'], ['identity', 'identity'], ['gzip, identity', 'gzip'], ['gzip;q=0.5, identity', 'identity'],
    ['gzip;q=0', 'identity'], ['*', 'zstd'], ['*, zstd;q=0', 'br'], ['*;q=0', null, false], ['identity;q=0', null, false], ['gzip, identity;q=0', 'gzip', false],
    ['deflate, *;q=0', null, false], ['gzip, *;q=0', 'gzip', false], ['*;q=0, identity', 'identity'], ['gzip;q=2', 'identity'], ['gzip;q=0.5, gzip', 'identity'], ['"', 'identity']
  ]
  for (const [value, coding, takesIdentity = true] of rows) t.strictSame(chooseCoding(value, ['zstd', 'br', 'gzip']), { coding, takesIdentity }, String(value))
  t.equal(chooseCoding('gzip, br, zstd', ['gzip', 'br']).coding, 'gzip')
})

for (const coding of ['zstd', 'br', 'gzip'] as const) {
  t.test(`content is compressed once for ${coding} and stored so; the hit is what the miss was, with a length`, async t => {
    const wire = await wireFor(t)

    const miss = await asking(wire, accepting(coding))
    const hit = await asking(wire, accepting(`deflate, ${coding};q=0.9`))

    t.equal(miss.fields['content-encoding'], coding)
    t.equal(miss.fields['vary'], 'accept-encoding')
    t.equal(miss.fields['etag'], `W/"v1~holdfast.${coding}"`)
    t.equal(miss.fields['content-length'], undefined)
    t.equal(miss.fields['accept-ranges'], undefined, 'a range of it is not offered')
    t.equal(decoded(miss), text)
    t.match(hit.fields['cache-status'], /; hit/)
    t.ok(hit.body.equals(miss.body))
    t.equal(hit.fields['content-length'], String(hit.body.length))
    t.equal(hit.fields['etag'], miss.fields['etag'])
    t.equal(wire.origin.requests.length, 1)
    t.match(wire.origin.requests[0], new RegExp(`\\r\\naccept-encoding: ${coding}\\r\\n`))
    const { bytes } = wire.proxy.control.stats().cache
    t.ok(bytes < text.length, 'the store counts compressed bytes')
  })
}

t.test('clients of one class share a response, others get their own, and those who accept none the original', async t => {
  const wire = await wireFor(t)
  const classes: Array<[string[], string | undefined]> = [
    [accepting('gzip, deflate, br, zstd'), 'zstd'], [accepting('zstd'), 'zstd'], [accepting('gzip, deflate, br'), 'br'], [accepting('gzip'), 'gzip'], [accepting('x-gzip'), 'gzip'],
    [[], undefined], [accepting('identity'), undefined], [accepting('deflate'), undefined], [accepting('gzip;q=0'), undefined]
  ]

  for (const [fields, coding] of classes) {
    const answer = await asking(wire, fields)
    t.equal(answer.fields['content-encoding'], coding, fields.join())
    t.equal(answer.fields['vary'], 'accept-encoding')
    t.equal(decoded(answer), text)
    if (coding === undefined) t.equal(answer.fields['etag'], '"v1"', 'the original has its own strong tag')
  }
  t.equal(wire.origin.requests.length, 4)
})

t.test('a client that refuses identity gets a coding; one that refuses everything is the origin server\'s business', async t => {
  const wire = await wireFor(t)

  t.equal((await asking(wire, accepting('gzip, identity;q=0'))).fields['content-encoding'], 'gzip')
  t.equal((await asking(wire, accepting('deflate, identity;q=0'))).fields['content-encoding'], undefined)
  t.match(wire.origin.requests[1], /\r\naccept-encoding: deflate, identity;q=0\r\n/)
})

const untouched: ReadonlyArray<[title: string, resource: Resource, fields?: string[], vary?: string]> = [
  ['a response that forbids it (RFC 9110 7.7)', { fields: ['Cache-Control: max-age=60, no-transform'] }],
  ['a response in answer to a request that forbids it (RFC 9111 5.2.1.6)', {}, ['Cache-Control: no-transform'], 'accept-encoding'],
  ['what the origin server has compressed', { fields: ['Cache-Control: max-age=60', 'Content-Encoding: gzip'] }, [], 'accept-encoding'],
  ['what is smaller than the bound', { body: 'short' }],
  ['a media type that is not listed', { type: 'image/png' }],
  ['a stream of events, unless it is named', { type: 'text/event-stream' }],
  ['content without a type', { type: '' }]
]
for (const [title, resource, fields = [], vary] of untouched) {
  t.test(`not compressed: ${title}`, async t => {
    const wire = await wireFor(t, () => resource)

    for (const answer of [await asking(wire, accepting('br', ...fields)), await asking(wire, accepting('br', ...fields))]) {
      t.equal(answer.body.toString('latin1'), resource.body ?? text)
      t.equal(answer.fields['content-length'], String(answer.body.length))
      t.equal(answer.fields['etag'], '"v1"')
      t.equal(answer.fields['vary'], vary)
    }
  })
}

t.test('content that says it is in identity is compressed, and does not say so any more', async t => {
  const wire = await wireFor(t, () => ({ fields: ['Cache-Control: max-age=60', 'Content-Encoding: identity'] }))

  t.equal((await asking(wire, accepting('br'))).fields['content-encoding'], 'br')
})

t.test('nothing is done on a route without compression', async t => {
  const wire = await startWire(t, answering(), {})

  const answer = await asking(wire, accepting('br, gzip'))

  t.equal(answer.fields['content-encoding'], undefined)
  t.equal(answer.fields['vary'], undefined)
  t.match(wire.origin.requests[0], /\r\naccept-encoding: br, gzip\r\n/)
})

t.test('what was said of the original bytes is not said of the compressed ones (RFC 9530)', async t => {
  const said = ['Content-MD5: x', 'Digest: sha-256=x', 'Content-Digest: sha-256=:x:', 'Repr-Digest: sha-256=:x:']
  const wire = await wireFor(t, () => ({ fields: ['Cache-Control: max-age=60', ...said] }))

  const answer = await asking(wire, accepting('br'))

  for (const name of ['content-md5', 'digest', 'content-digest', 'repr-digest']) t.equal(answer.fields[name], undefined, name)
  t.equal((await asking(wire)).fields['repr-digest'], 'sha-256=:x:')
})

t.test('Vary keeps what the origin server says', async t => {
  for (const [said, expected] of [['Accept-Language', 'Accept-Language, accept-encoding'], ['Origin, accept-ENCODING', 'Origin, accept-ENCODING'], ['*', '*']]) {
    const wire = await wireFor(t, () => ({ fields: ['Cache-Control: max-age=60', `Vary: ${said}`] }))
    t.equal((await asking(wire, accepting('br'))).fields['vary'], expected)
  }
})

t.test('HEAD says what GET would say, without a length that would be wrong (RFC 9110 9.3.2)', async t => {
  const wire = await wireFor(t)

  const head = await asking(wire, accepting('br'), '/', 'HEAD')
  const get = await asking(wire, accepting('br'))
  const hit = await asking(wire, accepting('br'), '/', 'HEAD')

  for (const name of ['content-encoding', 'etag', 'vary', 'content-type', 'accept-ranges']) t.equal(head.fields[name], get.fields[name], name)
  t.equal(head.fields['content-length'], undefined)
  t.equal(hit.fields['content-length'], String(get.body.length))
  t.match(hit.fields['cache-status'], /; hit/)
})

t.test('a HEAD that is forwarded freshens the variant that its client selects (RFC 9111 4.3.5)', async t => {
  const wire = await wireFor(t, () => ({ fields: ['Cache-Control: max-age=60'] }))
  await asking(wire, accepting('br'))
  wire.pass(61)

  await asking(wire, accepting('br'), '/', 'HEAD')

  t.match((await asking(wire, accepting('br'))).fields['cache-status'], /; hit/)
})

t.test('a stored variant is validated by the origin server\'s own tag, and keeps what was made of it (RFC 9111 4.3)', async t => {
  const wire = await wireFor(t, () => ({ fields: ['Cache-Control: max-age=60', 'Vary: Origin', 'Repr-Digest: sha-256=:x:', 'Accept-Ranges: bytes'] }))
  const first = await asking(wire, accepting('br'))
  wire.pass(61)

  const validated = await asking(wire, accepting('br'))
  const hit = await asking(wire, accepting('br'))

  t.match(wire.origin.requests[1], /\r\nif-none-match: W\/"v1~holdfast\.br", "v1"\r\n/)
  t.match(validated.fields['cache-status'], /fwd-status=304/)
  for (const answer of [validated, hit]) {
    t.ok(answer.body.equals(first.body))
    t.equal(answer.fields['etag'], 'W/"v1~holdfast.br"')
    t.equal(answer.fields['vary'], 'Origin, accept-encoding')
    t.equal(answer.fields['repr-digest'], undefined)
    t.equal(answer.fields['accept-ranges'], undefined)
  }
  t.match(hit.fields['cache-status'], /; hit/)
  t.equal(wire.origin.requests.length, 2)
})

t.test('each variant is validated on its own', async t => {
  let tag = '"v1"'
  const wire = await wireFor(t, () => ({ tag, body: tag + text }))
  for (const coding of ['br', 'gzip', 'identity']) await asking(wire, accepting(coding))
  wire.pass(61)
  await asking(wire, accepting('br'))
  tag = '"v2"'

  const [stillOld, changed, original] = [await asking(wire, accepting('br')), await asking(wire, accepting('gzip')), await asking(wire)]

  t.equal(decoded(stillOld), `"v1"${text}`)
  t.match(stillOld.fields['cache-status'], /; hit/)
  t.equal(decoded(changed), `"v2"${text}`)
  t.equal(changed.fields['etag'], 'W/"v2~holdfast.gzip"')
  t.equal(original.fields['etag'], '"v2"')
})

t.test('a client\'s own copy is confirmed: on a hit, when forwarded, and when what is stored is validated (RFC 9110 13.1.2)', async t => {
  const wire = await wireFor(t)
  const own = accepting('br', 'If-None-Match: W/"v1~holdfast.br"')

  const forwarded = await asking(wire, own, '/a')
  await asking(wire, accepting('br'), '/b')
  const hit = await asking(wire, own, '/b')
  wire.pass(61)
  const validated = await asking(wire, own, '/b')

  for (const answer of [forwarded, hit, validated]) {
    t.equal(answer.status, 304)
    t.equal(answer.fields['etag'], 'W/"v1~holdfast.br"')
    t.equal(answer.fields['content-length'], undefined)
    t.equal(answer.body.length, 0)
  }
  t.match(forwarded.fields['cache-status'], /fwd=uri-miss/)
  t.match(hit.fields['cache-status'], /; hit/)
  t.match(validated.fields['cache-status'], /fwd=stale/)
})

t.test('a copy of the original is confirmed as what it is', async t => {
  const wire = await wireFor(t)

  const forwarded = await asking(wire, accepting('br', 'If-None-Match: "v1"'))

  t.equal(forwarded.status, 304)
  t.equal(forwarded.fields['etag'], '"v1"')
})

t.test('an old copy is not confirmed', async t => {
  const wire = await wireFor(t, () => ({ tag: '"v2"' }))

  for (const answer of [await asking(wire, accepting('br', 'If-None-Match: W/"v1~holdfast.br"')), await asking(wire, accepting('br', 'If-None-Match: W/"v1~holdfast.br"'))]) {
    t.equal(answer.status, 200)
    t.equal(answer.fields['etag'], 'W/"v2~holdfast.br"')
  }
})

t.test('If-Match and updates work with the tag of a compressed response: the origin server gets its own (RFC 9110 13.1.1)', async t => {
  const wire = await wireFor(t)

  t.equal((await asking(wire, accepting('br', 'If-Match: W/"v1~holdfast.br"', 'Content-Length: 0'), '/', 'PUT')).status, 200)
  t.equal((await asking(wire, accepting('br', 'If-Match: W/"v0~holdfast.br"', 'Content-Length: 0'), '/', 'PUT')).status, 412)
  t.equal((await asking(wire, accepting('br', 'If-Match: W/"v1~holdfast.unknown"', 'Content-Length: 0'), '/', 'PUT')).status, 412)
})

t.test('a weak tag of the origin server is marked as well, and asked for as it is', async t => {
  const wire = await wireFor(t, () => ({ tag: 'W/"v1"' }))

  t.equal((await asking(wire, accepting('br'))).fields['etag'], 'W/"v1~holdfast-w.br"')
  wire.pass(61)
  const validated = await asking(wire, accepting('br'))

  t.match(wire.origin.requests[1], /\r\nif-none-match: W\/"v1~holdfast-w\.br", W\/"v1"\r\n/)
  t.equal(validated.fields['etag'], 'W/"v1~holdfast-w.br"')
  t.match(validated.fields['cache-status'], /fwd-status=304/)
})

t.test('what has only a date is validated by it', async t => {
  const modified = 'Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT'
  const wire = await startWire(t, ({ text: asked }) => {
    return /\r\nif-modified-since: /i.test(asked)
      ? octets('304 Not Modified', ['Cache-Control: max-age=60', modified, 'Repr-Digest: sha-256=:x:', 'Content-Length: 9999'], '')
      : octets('200 OK', ['Cache-Control: max-age=60', 'Content-Type: text/plain', modified, `Content-Length: ${text.length}`], text)
  }, settings())
  await asking(wire, accepting('br'))
  wire.pass(61)

  const validated = await asking(wire, accepting('br'))

  t.match(validated.fields['cache-status'], /fwd-status=304/)
  t.equal(validated.fields['repr-digest'], undefined)
  t.equal(decoded(validated), text)
})

t.test('concurrent requests: one exchange for each class, whose clients all get the same', async t => {
  const pending: Array<() => void> = []
  const origin = await startRawOrigin(t, ({ socket, text: asked }) => { pending.push(() => { socket.write(answering()({ text: asked })) }) })
  const proxy = await startProxy(t, origin.url, settings())
  const ask = (coding: string): Promise<string> => talk(proxy.port, `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept-Encoding: ${coding}\r\n\r\n`)

  const answers = Promise.all(['br', 'br', 'gzip', 'gzip', 'br', 'identity'].map(ask))
  let answered = 0
  let over = false
  answers.then(() => { over = true }, () => {})
  await until(() => {
    while (answered < pending.length) pending[answered++]?.()
    return over
  })

  const read = (await answers).map(readAnswer)
  t.strictSame(read.map(({ fields }) => fields['content-encoding']), ['br', 'br', 'gzip', 'gzip', 'br', undefined])
  for (const answer of read) t.equal(decoded(answer), text)
  t.ok((read[0] as Answer).body.equals((read[1] as Answer).body))
  t.ok(origin.requests.length <= 4, `${origin.requests.length} requests`)
})

t.test('a request for a range is for the original, whatever else is stored (RFC 9110 14.2)', async t => {
  const wire = await wireFor(t)
  await asking(wire, accepting('br'))

  const part = await asking(wire, accepting('br', 'Range: bytes=4-8'))
  const next = await asking(wire, accepting('br', 'Range: bytes=9-12', 'If-Range: "v1"'))
  const again = await asking(wire, accepting('br', 'Range: bytes=4-8'))

  for (const answer of [part, again]) {
    t.equal(answer.status, 206)
    t.equal(answer.body.toString(), text.slice(4, 9))
    t.equal(answer.fields['content-range'], `bytes 4-8/${text.length}`)
    t.equal(answer.fields['etag'], '"v1"')
    t.equal(answer.fields['vary'], 'accept-encoding')
  }
  t.equal(next.body.toString(), text.slice(9, 13))
  t.match(again.fields['cache-status'], /; hit/)
  t.equal((await asking(wire, accepting('br'))).fields['content-encoding'], 'br', 'the compressed one is still there')
  t.equal(wire.origin.requests.length, 3)
})

t.test('no range is given by the tag of a compressed response, by a date, or to who refuses identity (RFC 9110 13.1.5)', async t => {
  const dated = ['Cache-Control: max-age=60', 'Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT']
  for (const fields of [['If-Range: W/"v1~holdfast.br"'], ['If-Range: "v1~holdfast.br"'], ['If-Range: Mon, 01 Jan 2024 00:00:00 GMT'], ['Accept-Encoding: identity;q=0']]) {
    const wire = await wireFor(t, () => ({ fields: dated }))
    for (const answer of [await asking(wire, accepting('br', 'Range: bytes=4-8', ...fields)), await asking(wire, accepting('br', 'Range: bytes=4-8', ...fields))]) {
      t.equal(answer.status, 200, fields.join())
      t.equal(decoded(answer), text)
    }
  }
})

t.test('parts of the original are completed to the original', async t => {
  const wire = await wireFor(t)
  await asking(wire, accepting('br', 'Range: bytes=0-99'))

  const whole = await asking(wire)
  const compressed = await asking(wire, accepting('br'))

  t.equal(decoded(whole), text)
  t.equal(whole.fields['content-encoding'], undefined)
  t.match(wire.origin.requests[1], /\r\nrange: bytes=100-/)
  t.equal(decoded(compressed), text)
  t.equal(compressed.fields['content-encoding'], 'br')
})

t.test('what the origin server compressed is stored for the class it was made for, and validated as it is', async t => {
  const coded = brotliCompressSync(text)
  const wire = await startWire(t, ({ text: asked }) => {
    const head = ['Cache-Control: max-age=60', 'Content-Type: text/html', 'ETag: "o-br"', 'Content-Encoding: br', 'Repr-Digest: sha-256=:x:']
    if (/if-none-match: "o-br"\r\n/i.test(asked)) return octets('304 Not Modified', head, '')
    if (!/accept-encoding: br\r\n/i.test(asked)) return answering()({ text: asked })
    return Buffer.concat([octets('200 OK', [...head, `Content-Length: ${coded.length}`], ''), coded])
  }, settings())

  for (const seconds of [0, 30, 31]) {
    wire.pass(seconds)
    const answer = await asking(wire, accepting('br, gzip;q=0.5'))
    t.ok(answer.body.equals(coded))
    t.equal(answer.fields['etag'], '"o-br"')
    t.equal(answer.fields['vary'], 'accept-encoding')
    t.equal(answer.fields['repr-digest'], 'sha-256=:x:')
  }
  t.equal(wire.origin.requests.length, 2)
  t.equal((await asking(wire)).fields['content-encoding'], undefined)
})

t.test('one proxy before another: compressed once, confirmed through both', async t => {
  const inner = await wireFor(t)
  const outer = await startProxy(t, inner.proxy.url, { ...settings(), holdfast: { now: inner.now }, cache: { name: 'outer' } })
  const ask = async (fields: readonly string[]): Promise<Answer> => readAnswer(await talk(outer.port, ['GET / HTTP/1.1', 'Host: proxy.test', 'Connection: close', ...fields, '', ''].join('\r\n')))

  const first = await ask(accepting('br'))
  inner.pass(61)
  const validated = await ask(accepting('br'))
  const own = await ask(accepting('br', 'If-None-Match: W/"v1~holdfast.br"'))

  for (const answer of [first, validated]) {
    t.equal(answer.fields['etag'], 'W/"v1~holdfast.br"')
    t.equal(decoded(answer), text)
  }
  t.equal(own.status, 304)
  t.match(validated.fields['cache-status'], /outer; fwd=stale; fwd-status=304/)
})

const decompressors = { zstd: createZstdDecompress, br: createBrotliDecompress, gzip: createGunzip }
for (const coding of ['zstd', 'br', 'gzip'] as const) {
  t.test(`what has come is sent when the origin server pauses (${coding})`, async t => {
    let more: (() => void) | null = null
    const origin = await startRawOrigin(t, ({ socket }) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n')
      more = () => { socket.write('6\r\nsecond\r\n0\r\n\r\n') }
    })
    const proxy = await startProxy(t, origin.url, settings())
    const socket = openSocket(proxy.port)
    t.teardown(() => { socket.destroy() })
    let seen = ''
    socket.on('data', chunk => { seen += chunk.toString('latin1') })
    socket.write(`GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: ${coding}\r\n\r\n`)
    // What can be decompressed of what has come.
    const shown = async (): Promise<string> => {
      const stream = decompressors[coding]()
      let text = ''
      stream.on('data', chunk => { text += chunk })
      stream.on('error', () => {})
      stream.write(readAnswer(seen).body)
      await new Promise(resolve => { stream.flush(() => { resolve(undefined) }) })
      return text
    }

    await until(() => seen.includes('\r\n\r\n') && readAnswer(seen).body.length > 0)
    let text = ''
    while (text !== 'first') text = await shown()
    more!()
    await until(() => readAnswer(seen).complete && seen.includes('\r\n\r\n'))

    t.equal(decoded(readAnswer(seen)), 'firstsecond')
  })
}

t.test('content that is cut short is cut short for the client, and not stored (RFC 9112 8)', async t => {
  let cuts = true
  const origin = await startRawOrigin(t, ({ socket }) => {
    const head = `HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n`
    socket.write(head + (cuts ? text.slice(0, 2000) : text), 'latin1', () => { if (cuts) socket.destroy() })
  })
  const proxy = await startProxy(t, origin.url, settings())
  const ask = async (): Promise<Answer> => readAnswer(await talk(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n'))

  const cut = await ask()
  cuts = false
  const whole = await ask()

  t.notOk(cut.complete)
  t.throws(() => decoded(cut))
  t.equal(decoded(whole), text)
  t.equal(origin.requests.length, 2)
  t.equal(proxy.control.stats().transforms.compression.running, 0)
})

t.test('a client that does not read holds up the origin server, and no more is held than a few buffers', async t => {
  let written = 0
  const origin = await startRawOrigin(t, ({ socket }) => {
    socket.write('HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n')
    // Nothing that could be made smaller.
    const piece = Buffer.from(Array.from({ length: 65536 }, () => Math.floor(Math.random() * 256)))
    const write = (): void => {
      while (!socket.destroyed && written < 512 && socket.write(Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')]))) written++
    }
    socket.on('drain', write)
    write()
  })
  const proxy = await startProxy(t, origin.url, settings())
  const socket = openSocket(proxy.port)
  socket.on('error', () => {})
  t.teardown(() => { socket.destroy() })
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n')

  // Still, after it has been still for a while.
  let before = -1
  await until(() => written > 0)
  for (let same = 0; same < 40;) {
    await new Promise(resolve => { setTimeout(resolve, 5) })
    same = written === before ? same + 1 : 0
    before = written
  }

  t.ok(written < 400, `${written} of 512 pieces`)
  socket.destroy()
  await until(() => proxy.control.stats().transforms.compression.running === 0)
})

t.test('no more responses are compressed at a time than the route allows; further ones pass as they are', async t => {
  const pending: Array<() => void> = []
  const origin = await startRawOrigin(t, ({ socket }) => {
    socket.write(`HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n`)
    pending.push(() => { socket.write(text) })
  })
  const proxy = await startProxy(t, origin.url, settings({ maxConcurrent: 1 }))
  const ask = (path: string): Promise<string> => talk(proxy.port, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n`)

  const first = ask('/a')
  await until(() => proxy.control.stats().transforms.compression.running === 1)
  const second = ask('/b')
  await until(() => proxy.control.stats().transforms.compression.skipped === 1)
  for (const go of pending) go()
  const [one, two] = [readAnswer(await first), readAnswer(await second)]

  t.equal(one.fields['content-encoding'], 'gzip')
  t.equal(two.fields['content-encoding'], undefined)
  t.equal(two.fields['vary'], 'accept-encoding')
  t.equal(decoded(two), text)
  await until(() => proxy.control.stats().transforms.compression.running === 0)
})

t.test('what was stored uncompressed, because too much was being compressed, is not validated but asked for anew once there is room', async t => {
  let held: (() => void) | null = null
  const answer = answering()
  const wire = await startWire(t, ({ text: asked, socket }) => {
    if (!asked.startsWith('GET /held')) return answer({ text: asked })
    socket.write(`HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n`)
    held = () => { socket.write(text) }
    return undefined
  }, settings({ maxConcurrent: 1 }))
  const { compression } = wire.proxy.control.stats().transforms
  const begin = async (): Promise<() => Promise<void>> => {
    const busy = asking(wire, accepting('gzip'), '/held')
    await until(() => wire.proxy.control.stats().transforms.compression.running === 1)
    return async () => {
      held?.()
      await busy
      await until(() => wire.proxy.control.stats().transforms.compression.running === 0)
    }
  }
  t.equal(compression.running, 0)

  const end = await begin()
  const plain = await asking(wire, accepting('gzip'))
  t.equal(plain.fields['content-encoding'], undefined)
  wire.pass(61)
  const still = await asking(wire, accepting('gzip'))
  t.equal(still.fields['content-encoding'], undefined, 'while there is no room it is validated')
  t.match(wire.origin.requests.at(-1), /\r\nif-none-match: "v1"/)
  await end()
  const fresh = await asking(wire, accepting('gzip'))
  t.equal(fresh.fields['content-encoding'], undefined, 'as long as it is fresh it is used')

  wire.pass(61)
  for (const kind of [/fwd=stale; fwd-status=200; stored/, /; hit/]) {
    const answer = await asking(wire, accepting('gzip', 'If-None-Match: "other"'))
    t.match(answer.fields['cache-status'], kind)
    t.equal(answer.fields['content-encoding'], 'gzip')
    t.equal(decoded(answer), text)
  }
  t.notMatch(wire.origin.requests.at(-1), /\r\nif-none-match:/)
  wire.pass(61)
  t.match((await asking(wire, accepting('gzip'))).fields['cache-status'], 'fwd-status=304')
})

t.test('what is not compressed for what it is stays validated', async t => {
  for (const resource of [{ body: 'small' }, { type: 'image/png' }, { fields: ['Cache-Control: max-age=60, no-transform'] }]) {
    const wire = await wireFor(t, () => resource)
    await asking(wire, accepting('gzip'))
    wire.pass(61)
    t.match((await asking(wire, accepting('gzip'))).fields['cache-status'], 'fwd-status=304', JSON.stringify(resource))
  }
})

t.test('other statuses with content are compressed, answers to unsafe methods too', async t => {
  const wire = await wireFor(t, () => ({ status: '404 Not Found', fields: ['Cache-Control: max-age=60'] }))

  const missing = await asking(wire, accepting('gzip'))
  const posted = await asking(wire, accepting('gzip', 'Content-Length: 0'), '/', 'POST')

  t.equal(missing.status, 404)
  t.equal(missing.fields['content-encoding'], 'gzip')
  t.equal(posted.fields['content-encoding'], 'gzip')
  t.equal(decoded(posted), text)
})

t.test('a stream of events that is named is compressed', async t => {
  const wire = await wireFor(t, () => ({ type: 'text/event-stream' }), { types: ['text/event-stream'] })

  t.equal((await asking(wire, accepting('gzip'))).fields['content-encoding'], 'gzip')
})

t.test('a stale variant that is used while it is validated stays what it is (RFC 5861 3)', async t => {
  const wire = await wireFor(t, () => ({ fields: ['Cache-Control: max-age=60, stale-while-revalidate=60'] }))
  await asking(wire, accepting('br'))
  wire.pass(61)

  const stale = await asking(wire, accepting('br'))
  await until(() => wire.origin.requests.length === 2)
  let hit = await asking(wire, accepting('br'))
  while (!/ttl=60/.test(hit.fields['cache-status'] ?? '')) hit = await asking(wire, accepting('br'))

  for (const answer of [stale, hit]) {
    t.match(answer.fields['cache-status'], /; hit/)
    t.equal(answer.fields['etag'], 'W/"v1~holdfast.br"')
    t.equal(decoded(answer), text)
  }
  t.equal(wire.origin.requests.length, 2)
})

t.test('options that cannot be meant are refused with their place', async t => {
  const rows: Array<[object, RegExp]> = [
    [{ codings: ['br', 'gzip', 'br'] }, /response\/compression\/codings\/2/], [{ codings: ['deflate'] }, /codings\/0/], [{ codings: [] }, /codings/], [{ types: ['Text/HTML'] }, /types\/0/],
    [{ level: { br: 12 } }, /level\/br/], [{ maxConcurrent: 0 }, /maxConcurrent/], [{ minBytes: 'many' }, /minBytes/]
  ]
  for (const [compression, place] of rows) await t.rejects(startProxy(t, 'http://127.0.0.1:1', settings(compression)), place)
})

t.test('a reload that changes the compression begins anew', async t => {
  const wire = await wireFor(t)
  await asking(wire, accepting('br'))
  const { config } = wire.proxy.control

  await wire.proxy.control.reload({ ...config, routes: config.routes.map(route => ({ ...route, response: { ...route.response, compression: { ...route.response.compression, codings: ['gzip'] } } })) } as never)
  const answer = await asking(wire, accepting('br, gzip'))

  t.equal(answer.fields['content-encoding'], 'gzip')
  t.equal(wire.origin.requests.length, 2)
})

t.test('whatever clients ask for and in which order, each gets what the origin server has or had, and one strong tag is one content', async t => {
  const step = fc.record({
    accept: fc.constantFrom('br', 'gzip', 'zstd, gzip', 'identity', '', 'gzip;q=0.1, br;q=0.2', 'identity;q=0, gzip', '*;q=0', 'deflate'),
    condition: fc.constantFrom('none', 'last', 'any', 'match', 'star'),
    range: fc.constantFrom('none', 'none', 'bare', 'if-range', 'if-range-old'),
    method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD'),
    directive: fc.constantFrom('', '', '', 'no-cache', 'no-transform', 'max-age=10'),
    passes: fc.constantFrom(0, 1, 31, 61),
    changes: fc.boolean()
  })
  const contentOf = (version: number): string => `${version} ${text.slice(0, 1500 + version * 100)}`
  let version = 1
  let pattern: string | null = null
  const wire = await startWire(t, exchange => answering(() => ({ tag: pattern?.replace('%', String(version)) ?? null, body: contentOf(version) }))(exchange), settings())
  let runs = 0
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), fc.constantFrom('"v%"', 'W/"v%"', null), async (steps, tagged) => {
    const path = `/run${++runs}`
    version = 1
    pattern = tagged
    const possible = (content: string): boolean => Array.from({ length: version }, (_, i) => contentOf(i + 1)).includes(content)
    const strong = new Map<string, Buffer>()
    const known: Array<{ tag: string, content: string }> = []
    for (const { accept, condition, range, method, directive, passes, changes } of steps) {
      wire.pass(passes)
      if (changes) version++
      const last = known.at(-1)
      const fields = [`Accept-Encoding: ${accept}`]
      if (directive !== '') fields.push(`Cache-Control: ${directive}`)
      if (condition === 'last' && last !== undefined) fields.push(`If-None-Match: ${last.tag}`)
      if (condition === 'any' && known.length > 0) fields.push(`If-None-Match: ${known.map(({ tag }) => tag).join(', ')}`)
      if (condition === 'match' && last !== undefined) fields.push(`If-Match: ${last.tag}`)
      if (condition === 'star') fields.push('If-None-Match: *')
      const rangeTag = range === 'if-range' ? last?.tag : range === 'if-range-old' ? known[0]?.tag : undefined
      if (range !== 'none') fields.push('Range: bytes=3-20')
      if (rangeTag !== undefined) fields.push(`If-Range: ${rangeTag}`)
      const answer = await asking(wire, fields, path, method)
      const tag = answer.fields['etag']
      const told = `${method} ${fields.join(', ')} -> ${answer.status} ${JSON.stringify(answer.fields)}`
      if (answer.status === 304) {
        if (condition === 'star') continue
        if (tag !== undefined) t.ok(known.some(one => one.tag.replace('W/', '') === tag.replace('W/', '')), `confirmed is what is known: ${told}`)
        continue
      }
      if (answer.status === 412) continue
      t.ok(answer.complete || method === 'HEAD', told)
      const coding = answer.fields['content-encoding']
      if (coding !== undefined) t.match(accept, coding, 'a coding that was accepted')
      if (method === 'HEAD') continue
      if (answer.status === 206) {
        t.equal(coding, undefined, told)
        t.ok(Array.from({ length: version }, (_, i) => contentOf(i + 1).slice(3, 21)).includes(answer.body.toString('latin1')), told)
        if (rangeTag !== undefined) t.equal(answer.body.toString('latin1'), known.find(one => one.tag === rangeTag)?.content.slice(3, 21), told)
        continue
      }
      t.equal(answer.status, 200, told)
      const content = decoded(answer)
      t.ok(possible(content), told)
      if (tag === undefined) continue
      if (coding !== undefined) t.match(tag, /^W\/.*~holdfast/)
      if (!tag.startsWith('W/')) {
        const before = strong.get(tag)
        if (before !== undefined) t.ok(before.equals(answer.body), told)
        strong.set(tag, answer.body)
      }
      const same = known.find(one => one.tag === tag)
      if (same !== undefined) t.equal(content, same.content, 'one tag of any kind is one version')
      known.push({ tag, content })
    }
  }), { numRuns: 40 })
})
