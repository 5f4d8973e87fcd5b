/** What clients may say about host, framing and expectation, and whose silence is held against them. */
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { get, openSocket, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const status = (text: string): number => Number(/HTTP\/1\.1 ([2-5]\d{2})/.exec(text)?.[1])
const done = /\}$/

t.test('RFC 9112 3.2: no Host, two of them and an invalid one are 400', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  for (const fields of ['', 'Host: a\r\nHost: a\r\n', 'Host: a\r\nHost: b\r\n', 'Host: a/b\r\n', 'Host: a b\r\n', 'Host: u@a\r\n', 'Host: a:99999\r\n']) {
    t.equal(status(await talk(proxy.port, `GET / HTTP/1.1\r\n${fields}Connection: close\r\n\r\n`)), 400, JSON.stringify(fields))
  }
  t.equal(origin.requests.length, 0)
  t.equal(status(await talk(proxy.port, 'GET http://proxy.test/ HTTP/1.0\r\n\r\n')), 200, 'HTTP/1.0 may name it in the target')
})

t.test('RFC 9112 6.1: HTTP/1.0 with Transfer-Encoding is 400 and the end of the connection', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  const answer = await talk(proxy.port, 'POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n')

  t.equal(status(answer), 400)
  t.equal(answer.split('HTTP/1.1 ').length - 1, 1, 'one answer only')
  t.equal(origin.requests.length, 0)
})

t.test('RFC 9112 6.3: framing that can be read in two ways is 400', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  for (const framing of [
    'Transfer-Encoding: chunked, identity', 'Transfer-Encoding: identity', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', 'Transfer-Encoding : chunked',
    'Content-Length: +1', 'Content-Length: 1, 2', 'Content-Length: 0x1', 'Content-Length: -1', 'Content-Length: 99999999999999999999999', 'Content-Length: 1\r\n folded'
  ]) t.equal(status(await talk(proxy.port, `POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n0\r\n\r\n`, done)), 400, framing)
  t.equal(origin.requests.length, 0)
})

t.test('RFC 9110 10.1.1: 100-continue is answered, and the content passed on', async t => {
  const origin = await startRawOrigin(t, ({ socket, text }) => {
    // The head leaves with the first piece of content.
    if (text.endsWith('hello')) return response('got it')
    socket.once('data', () => { socket.write(response('got it')) })
    return undefined
  })
  const proxy = await startProxy(t, origin.url)
  const client = openSocket(proxy.port)
  let seen = ''
  client.on('data', chunk => { seen += chunk.toString('latin1') })

  client.write('PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
  await until(() => seen.startsWith('HTTP/1.1 100 Continue\r\n\r\n'))
  client.write('hello')
  await until(() => seen.endsWith('got it'))

  t.notMatch(origin.requests[0], /expect:/i)
  client.destroy()
})

t.test('RFC 9110 15.2: an interim response stands in front of its response, also where that waits for another one', async t => {
  const large = '.'.repeat(40_000)
  let answerFirst = (): void => {}
  const origin = await startRawOrigin(t, ({ socket, text }) => {
    if (text.startsWith('GET /first')) answerFirst = () => { socket.write(response('first')) }
    else return `HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n${response(large)}`
    return undefined
  })
  const proxy = await startProxy(t, origin.url)
  const client = openSocket(proxy.port)
  let seen = ''
  client.on('data', chunk => { seen += chunk.toString('latin1') })
  const closed = new Promise(resolve => { client.once('close', resolve) })

  client.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\nPUT /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello')
  await until(() => origin.requests.length === 2)
  // The second answer has come by then.
  await talk(proxy.port, get('/third'))
  answerFirst()
  await closed

  const [, first = '', ...others] = seen.split(/(?=HTTP\/1\.1 \d)/)
  t.match(seen, /^HTTP\/1\.1 200 OK\r\n/)
  const last = others.pop() ?? first
  t.ok(last.startsWith('HTTP/1.1 200 OK\r\n') && last.endsWith(`\r\n\r\n${large}`), 'there is nothing between a head and its content')
})

t.test('a response that is cut short while it waits for another one ends the connection when its turn comes', async t => {
  let answerFirst = (): void => {}
  const origin = await startRawOrigin(t, ({ socket, text }) => {
    if (text.startsWith('GET /first')) answerFirst = () => { socket.write(response('first')) }
    else setImmediate(() => { socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun') })
  })
  const proxy = await startProxy(t, origin.url)
  const client = openSocket(proxy.port)
  let seen = ''
  client.on('data', chunk => { seen += chunk.toString('latin1') })
  const closed = new Promise(resolve => { client.once('close', resolve) })

  client.write(['/first', '/second', '/third'].map(path => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''))
  await until(() => origin.requests.length === 3 && origin.open === 1)
  // All has come to the proxy by then.
  await talk(proxy.port, get('/fourth'))
  answerFirst()
  await closed

  t.match(seen, /^HTTP\/1\.1 200 OK\r\n[^]*?first(?:HTTP\/1\.1 200 OK\r\n[^]*?begun)?$/)
})

t.test('whoever pipelines many requests makes the process warn of nothing', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)
  const warnings: Error[] = []
  const note = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', note)
  t.teardown(() => { process.off('warning', note) })

  const answer = await talk(proxy.port, Array.from({ length: 30 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join('') + get('/last'))

  t.equal(answer.match(/ 200 OK\r\n/g)?.length, 31)
  t.same(warnings, [])
})

t.test('content that the upstream is slow to take is not the silence of the client', async t => {
  const origin = await startRawOrigin(t, ({ socket }) => {
    socket.pause()
    setTimeout(() => {
      socket.write(response('late', ['Connection: close']))
      socket.resume()
    }, 600)
  })
  const proxy = await startProxy(t, origin.url, { server: { limits: { bodyTimeout: '100ms', writeTimeout: '100ms' } } })

  const size = 20_000_000
  const answer = await talk(proxy.port, Buffer.concat([Buffer.from(`POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${size}\r\n\r\n`), Buffer.alloc(size)]), /late$/)

  t.equal(status(answer), 200)
})

t.test('pauses shorter than the limit do not add up', async t => {
  const origin = await startRawOrigin(t, ({ socket }) => {
    socket.on('data', chunk => { if (chunk.includes('!')) socket.write(response('all')) })
  })
  const proxy = await startProxy(t, origin.url, { server: { limits: { bodyTimeout: '400ms', writeTimeout: '50ms' } } })
  const client = openSocket(proxy.port)
  let seen = ''
  client.on('data', chunk => { seen += chunk.toString('latin1') })

  client.write('POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n\r\n')
  for (const octet of 'abcdefgh') {
    client.write(octet)
    await new Promise(resolve => { setTimeout(resolve, 120) })
  }
  client.write('!')
  await until(() => seen.endsWith('all') || client.destroyed)

  t.equal(status(seen), 200)
  client.destroy()
})

t.test('a connection kept alive ends when nothing is asked of it for the idle time', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { server: { limits: { idleTimeout: '100ms' } } })

  t.equal(status(await talk(proxy.port, get('/').replace('Connection: close\r\n', ''))), 200)
})

t.test('a limit for whole requests below the one for their head is no contradiction', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { server: { limits: { requestTimeout: '300ms', headerTimeout: '10s' } } })

  t.equal(status(await talk(proxy.port, get('/'))), 200)
  t.equal(status(await talk(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nX: ')), 408)
})

t.test('CVE-2025-4366: what follows content that was refused is not taken for a request', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { server: { limits: { bodyBytes: 3 } } })

  for (const framing of ['Content-Length: 40\r\n\r\n', `Content-Length: 5\r\n\r\nhello${get('/behind')}`, `Transfer-Encoding: identity\r\n\r\n${get('/behind')}`]) {
    const answer = await talk(proxy.port, `POST / HTTP/1.1\r\nHost: a\r\n${framing}${get('/in')}`)
    t.match(answer, /^HTTP\/1\.1 4(?:13|00) [^]*connection: close/i)
    t.equal(answer.split('HTTP/1.1 ').length - 1, 1, 'one answer only')
  }
  t.equal(origin.requests.length, 0)
})

t.test('a client that breaks off its content while its request waits for a connection does no harm', async t => {
  const origin = await startRawOrigin(t, ({ text }) => text.startsWith('GET') ? undefined : response())
  const proxy = await startProxy(t, origin.url, { upstream: { connections: 1 } })
  const first = openSocket(proxy.port)
  first.write(get('/hang'))
  await until(() => origin.requests.length === 1)

  const clients = ['xyz', '3\r\nabc\r\nnonsense'].map(content => {
    const client = openSocket(proxy.port)
    client.on('error', () => {})
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${content}`)
    return client
  })
  await Promise.all(clients.map(async client => { await until(() => client.bytesRead > 0) }))
  const broken = openSocket(proxy.port)
  broken.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc')
  await until(() => proxy.control.stats().upstreams['default']?.queued === 1)
  broken.destroy()
  await until(() => proxy.control.stats().upstreams['default']?.queued === 0)
  first.destroy()
  await until(() => origin.open === 0)

  t.equal(status(await talk(proxy.port, get('/').replace('GET', 'DELETE'))), 200)
})

t.test('RFC 9112 9.6: what is sent behind the request that ends the connection is not acted upon, and changes nothing of its answer', async t => {
  const pending: Array<() => void> = []
  const origin = await startRawOrigin(t, ({ socket, text }) => {
    const answer = response(`for ${text.split(' ')[1]}`, ['Cache-Control: max-age=60'])
    if (text.includes('/slow')) pending.push(() => { socket.write(answer) })
    return text.includes('/slow') ? undefined : answer
  })
  const proxy = await startProxy(t, origin.url)
  const firsts: ReadonlyArray<readonly [path: string, head: string]> = [
    ['/stored', 'GET /stored HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n'],
    ['/new', 'GET /new HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n'],
    ['/slow', 'GET /slow HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n'],
    ['/post', 'POST /post HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello'],
    ['/old', 'GET /old HTTP/1.0\r\nHost: proxy.test\r\n\r\n']
  ]
  for (const [path, first] of firsts) {
    for (const more of ['GET /more HTTP/1.1\r\nHost: proxy.test\r\n\r\n', 'nonsense\r\n\r\n', 'GET /half HTTP/1.1\r\nHo']) {
      for (const isTogether of path === '/slow' ? [true, false] : [true]) {
        await proxy.control.purge({ all: true }, {})
        if (path === '/stored') await talk(proxy.port, get('/stored'))
        const client = openSocket(proxy.port)
        let seen = ''
        client.on('data', chunk => { seen += chunk.toString('latin1') }).on('error', () => {})
        const closed = new Promise(resolve => { client.once('close', resolve) })
        const asked = pending.length
        client.write(isTogether ? first + more : first)
        if (path === '/slow') {
          await until(() => pending.length > asked || client.destroyed)
          if (!isTogether) await new Promise<void>(resolve => { client.write(more, () => { setTimeout(resolve, 20) }) })
          pending[asked]?.()
        }
        await closed

        t.match(seen, new RegExp(`^HTTP/1\\.1 200 [^]*for ${path}$`), `${path}, ${JSON.stringify(more)}, ${isTogether ? 'at once' : 'later'}`)
      }
    }
  }
  t.notOk(origin.requests.some(text => /\/(?:more|half)/.test(text)))
})

t.test('RFC 9112 9.6: octets that come while the last response is on its way do not cut it short', async t => {
  const origin = await startRawOrigin(t, () => response('x'.repeat(8_000_000)))
  const proxy = await startProxy(t, origin.url)
  const client = openSocket(proxy.port)
  let length = 0
  client.on('error', () => {})
  client.write(get('/'))
  await new Promise(resolve => { client.once('readable', resolve) })
  await new Promise<void>(resolve => { client.write('GET /more HTTP/1.1\r\nHost: proxy.test\r\n\r\n', () => { setTimeout(resolve, 100) }) })

  client.on('data', chunk => { length += chunk.length })
  await new Promise(resolve => { client.once('close', resolve) })

  t.ok(length > 8_000_000)
  t.equal(origin.requests.length, 1)
})

t.test('RFC 9112 9.3.2: what cannot be read behind a request does not cut short the response to it, and ends the connection', async t => {
  const origin = await startRawOrigin(t, () => response('x'.repeat(8_000_000)))
  const proxy = await startProxy(t, origin.url)
  const client = openSocket(proxy.port)
  let length = 0
  client.on('error', () => {})
  client.write('GET / HTTP/1.1\r\nHost: proxy.test\r\n\r\n')
  await new Promise(resolve => { client.once('readable', resolve) })
  await new Promise<void>(resolve => { client.write('nonsense\r\n\r\n', () => { setTimeout(resolve, 100) }) })

  client.on('data', chunk => { length += chunk.length })
  await new Promise(resolve => { client.once('close', resolve) })

  t.ok(length > 8_000_000, `${length} bytes`)
})

t.test('RFC 9112 9.3.2: nor are requests answered 400 for what comes behind them', async t => {
  const answers: Array<() => void> = []
  const origin = await startRawOrigin(t, ({ socket, text }) => { answers.push(() => { socket.write(response(`for ${text.split(' ')[1]}`)) }) })
  const proxy = await startProxy(t, origin.url)
  const client = openSocket(proxy.port)
  let seen = ''
  client.on('error', () => {})
  client.on('data', chunk => { seen += chunk.toString('latin1') })
  const closed = new Promise(resolve => { client.once('close', resolve) })
  client.write('GET /a HTTP/1.1\r\nHost: proxy.test\r\n\r\nGET /b HTTP/1.1\r\nHost: proxy.test\r\n\r\nnonsense\r\n\r\n')
  await until(() => answers.length === 2 || client.destroyed)
  await new Promise(resolve => { setTimeout(resolve, 50) })
  for (const answer of answers) answer()
  await closed

  t.match(seen, /^HTTP\/1\.1 200 [^]*for \/aHTTP\/1\.1 200 [^]*\r\nconnection: close\r\n[^]*for \/b$/i)
})

t.test('where Node goes on behind what it could not read, nothing of that is answered: it would be taken for the answer to what was lost', async t => {
  const answers: Array<() => void> = []
  const origin = await startRawOrigin(t, ({ socket, text }) => { answers.push(() => { socket.write(response(`for ${text.split(' ')[1]}`)) }) })
  const proxy = await startProxy(t, origin.url)
  const sockets: Socket[] = []
  proxy.app.server.on('connection', socket => { sockets.push(socket) })
  const client = openSocket(proxy.port)
  let seen = ''
  client.on('error', () => {})
  client.on('data', chunk => { seen += chunk.toString('latin1') })
  const closed = new Promise(resolve => { client.once('close', resolve) })
  client.write('GET /a HTTP/1.1\r\nHost: proxy.test\r\n\r\n')
  await until(() => answers.length === 1)
  // As it comes of TLS, with what had been decrypted when many responses waited.
  proxy.app.server.emit('clientError', Object.assign(new Error('Paused'), { code: 'HPE_PAUSED' }), sockets[0] as Socket)
  await new Promise<void>(resolve => { client.write('GET /c HTTP/1.1\r\nHost: proxy.test\r\n\r\n', () => { setTimeout(resolve, 50) }) })
  answers[0]?.()
  await closed

  t.match(seen, /^HTTP\/1\.1 200 [^]*for \/a$/)
  t.equal(answers.length, 1, 'it is not asked for, either')
})

t.test('RFC 9112 9.6: whoever goes on sending behind what ends the connection is not reset, which could take the answer away', async t => {
  const origin = await startRawOrigin(t, () => response('ok', ['Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url)
  await talk(proxy.port, get('/stored'))
  const whole = (path: string, last = ''): string => `GET ${path} HTTP/1.1\r\nHost: proxy.test\r\n${last}\r\n`
  for (const [title, octets] of [
    ['nonsense behind a hit', `${whole('/stored')}nonsense\r\n\r\n`],
    ['nonsense behind a miss', `${whole('/a')}nonsense\r\n\r\n`],
    ['more behind the last hit', whole('/stored', 'Connection: close\r\n') + whole('/more')],
    ['more behind the last miss', whole('/b', 'Connection: close\r\n') + whole('/more')],
    ['content that cannot be read', 'POST / HTTP/1.1\r\nHost: proxy.test\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n'],
    ['nothing else', 'nonsense\r\n\r\n']
  ] as const) {
    const client = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
    const errors: string[] = []
    let seen = ''
    client.on('error', (error: NodeJS.ErrnoException) => { errors.push(error.code ?? '') })
    client.on('data', chunk => { seen += chunk.toString('latin1') })
    const ended = new Promise<void>(resolve => { client.once('end', resolve).once('close', () => { resolve() }) })
    client.write(octets)
    await ended
    for (let i = 0; i < 5 && !client.destroyed; i++) {
      client.write('more')
      await new Promise(resolve => { setTimeout(resolve, 10) })
    }
    client.end()
    await until(() => client.destroyed)

    t.match(seen, /^HTTP\/1\.1 (?:200|400) [^]*(?:ok|\})$/, title)
    t.same(errors, [], title)
  }
  await until(() => (proxy.app.server as unknown as { _connections: number })._connections === 0)
})

t.test('content that cannot be read ends the response to it that has begun', async t => {
  const origin = await startRawOrigin(t, ({ socket }) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun')
    return undefined
  })
  const proxy = await startProxy(t, origin.url)
  const client = openSocket(proxy.port)
  let seen = ''
  client.on('error', () => {})
  client.on('data', chunk => { seen += chunk.toString('latin1') })
  client.write('POST / HTTP/1.1\r\nHost: proxy.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
  await until(() => seen.endsWith('begun'))
  client.write('nonsense\r\n')
  await new Promise(resolve => { client.once('close', resolve) })

  t.match(seen, /begun$/)
})

t.test('RFC 9112 9.3.2: a request whose content cannot be read, or does not come, takes nothing from the response in front of it', async t => {
  const answers: Array<() => void> = []
  const origin = await startRawOrigin(t, ({ socket, text }) => {
    if (text.startsWith('GET')) answers.push(() => { socket.write(response('for /a')) })
  })
  const proxy = await startProxy(t, origin.url, { server: { limits: { bodyTimeout: '100ms' } } })
  const head = 'POST /b HTTP/1.1\r\nHost: proxy.test\r\n'
  for (const [content, refused] of [
    ['Transfer-Encoding: chunked\r\n\r\nnonsense\r\n', 400],
    ['Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n', 400],
    ['Content-Length: 5\r\n\r\nabc', 408]
  ] as const) {
    const asked = answers.length
    const client = openSocket(proxy.port)
    let seen = ''
    client.on('error', () => {})
    client.on('data', chunk => { seen += chunk.toString('latin1') })
    const closed = new Promise(resolve => { client.once('close', resolve) })
    client.write(`GET /a HTTP/1.1\r\nHost: proxy.test\r\n\r\n${head}${content}`)
    await until(() => answers.length > asked || client.destroyed)
    // Longer than the limit for content, so that it is looked at more than once.
    await new Promise(resolve => { setTimeout(resolve, 400) })
    answers[asked]?.()
    await closed

    t.match(seen, new RegExp(`^HTTP/1\\.1 200 [^]*for /aHTTP/1\\.1 ${refused} [^]*"status":${refused},"message":"[^"]+"}}$`), content)
  }
})

t.test('RFC 9112 9.3.2: CONNECT is refused behind the responses in front of it, not within them', async t => {
  const whole = 'x'.repeat(8_000_000)
  const origin = await startRawOrigin(t, ({ socket }) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${whole.length}\r\n\r\n`)
    setTimeout(() => { socket.write(whole) }, 100)
  })
  const proxy = await startProxy(t, origin.url)
  for (const isTogether of [true, false]) {
    const client = openSocket(proxy.port)
    const seen: Buffer[] = []
    client.on('error', () => {})
    const connect = 'CONNECT proxy.test:443 HTTP/1.1\r\nHost: proxy.test:443\r\n\r\n'
    client.write(`GET /a HTTP/1.1\r\nHost: proxy.test\r\n\r\n${isTogether ? connect : ''}`)
    await new Promise(resolve => { client.once('readable', resolve) })
    if (!isTogether) client.write(connect)
    // More than the connection takes at once: who writes has to be told when it goes on.
    await new Promise(resolve => { setTimeout(resolve, 300) })
    client.on('data', chunk => { seen.push(chunk) })
    await new Promise(resolve => { client.once('close', resolve) })

    const text = Buffer.concat(seen).toString('latin1')
    t.equal(text.slice(text.indexOf('\r\n\r\n') + 4).length, whole.length)
    t.notMatch(text, /501/)
  }
})

t.test('what is sent behind the last request, and looked at by nobody, is not read without end while its response is slow', async t => {
  const origin = await startRawOrigin(t, () => undefined)
  const proxy = await startProxy(t, origin.url)
  const request = (fields: string): string => `GET / HTTP/1.1\r\nHost: proxy.test\r\n${fields}\r\n`
  for (const octets of [request('Connection: close\r\n'), `${request('')}nonsense\r\n\r\n`, `${request('')}CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n`]) {
    const asked = origin.requests.length
    const client = openSocket(proxy.port)
    client.on('error', () => {})
    client.write(octets)
    await until(() => origin.requests.length > asked)
    const more = Buffer.alloc(1024 * 1024, 'x')
    for (let i = 0; i < 200 && !client.destroyed; i++) await new Promise<void>(resolve => { client.write(more, () => { resolve() }) })

    t.ok(client.destroyed, octets)
    client.destroy()
  }
})

t.test('content that cannot be read ends the response to it that has begun, when those in front of it have left; one that came whole stays so', async t => {
  let answerFirst = (): void => {}
  let sendRest = (): void => {}
  const origin = await startRawOrigin(t, ({ socket, text }) => {
    if (text.startsWith('GET')) {
      answerFirst = () => { socket.write(response('for /a')) }
      return
    }
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun')
    if (text.includes('/whole')) sendRest = () => { socket.write(' all') }
  })
  const proxy = await startProxy(t, origin.url)
  for (const [path, end] of [['/part', 'begun'], ['/whole', 'begun all']] as const) {
    const asked = origin.requests.length
    const client = openSocket(proxy.port)
    let seen = ''
    client.on('error', () => {})
    client.on('data', chunk => { seen += chunk.toString('latin1') })
    const closed = new Promise(resolve => { client.once('close', resolve) })
    client.write(`GET /a HTTP/1.1\r\nHost: proxy.test\r\n\r\nPOST ${path} HTTP/1.1\r\nHost: proxy.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`)
    await until(() => origin.requests.length === asked + 2)
    // The response has begun, and waits.
    await new Promise(resolve => { setTimeout(resolve, 50) })
    await new Promise<void>(resolve => { client.write('nonsense\r\n', () => { setTimeout(resolve, 50) }) })
    sendRest()
    await new Promise(resolve => { setTimeout(resolve, 50) })
    answerFirst()
    await closed

    t.match(seen, new RegExp(`^HTTP/1\\.1 200 [^]*for /aHTTP/1\\.1 200 [^]*\r\n\r\n${end}$`), path)
  }
})
