/** What traffic may make the proxy hold; numbers are those of traps.test.ts. */
import t from 'tap'
import { get, openSocket, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

t.test('19: the store keeps to its bytes and its entries, whatever is asked for', async t => {
  const origin = await startRawOrigin(t, ({ count }) => response('x'.repeat(1 + (count * 37) % 3000), ['Cache-Control: max-age=60', 'Vary: X-Kind']))
  const maxBytes = 100_000
  const proxy = await startProxy(t, origin.url, { cache: { maxBytes, maxEntries: 40, maxVariants: 3, maxResponseBytes: 2500 } })

  let most = { bytes: 0, entries: 0 }
  for (let i = 0; i < 300; i++) {
    await talk(proxy.port, get(`/${i % 170}`, [`X-Kind: ${i % 7}`]))
    const { bytes, entries } = proxy.control.stats().cache
    most = { bytes: Math.max(most.bytes, bytes), entries: Math.max(most.entries, entries) }
  }

  t.ok(most.bytes <= maxBytes && most.bytes > maxBytes / 10, `${most.bytes} bytes`)
  t.ok(most.entries <= 40 && most.entries > 5, `${most.entries} entries`)
})

t.test('28: connections whose fields drip in are ended, and more than the ceiling are not taken', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { server: { limits: { headerTimeout: '300ms', connections: 20 } } })

  let ended = 0
  const sockets = Array.from({ length: 40 }, () => openSocket(proxy.port))
  for (const socket of sockets) {
    socket.on('error', () => {})
    socket.on('data', () => {})
    socket.once('close', () => { ended++ })
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ')
    const drip = setInterval(() => { socket.write('x') }, 50)
    socket.once('close', () => { clearInterval(drip) })
  }
  await until(() => ended === sockets.length)

  t.equal(origin.requests.length, 0)
  t.match(await talk(proxy.port, get('/')), /^HTTP\/1\.1 200 /, 'there is room again')
})
