/** What clients may say about host, framing and expectation, and whose silence is held against them. */
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
