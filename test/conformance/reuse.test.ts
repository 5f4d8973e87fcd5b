/** Constructing responses from what is stored (RFC 9111 4). */
import t from 'tap'
import { bodyOf, checkRows, outcomeOf, startWire, type Row } from '../fixtures/conformance.ts'
import { response } from '../fixtures/raw-origin.ts'

const hour = 'Cache-Control: max-age=3600'

t.test('a stored response is used only for its own target URI (RFC 9111 4)', async t => {
  const { ask, origin } = await startWire(t, ({ count }) => response(`answer ${count}`, [hour]))
  const targets = ['/', '/?', '/?a', '/?a=', '/?b', '/a', '/A', '/a/', '/a//', '//a', '/a;b', '/a%2Fb', '/a/b', '/a%3Fb', '/?a&b', '/?b&a', '/?a+b', '/?a%20b']
  for (const target of targets) t.equal(outcomeOf(await ask(target), false), 'uri-miss', target)
  for (const [place, target] of targets.entries()) t.equal(bodyOf(await ask(target)), `answer ${place + 1}`, target)
  t.equal(origin.requests.length, targets.length)
})

t.test('spellings of one URI are one (RFC 9110 4.2.3)', async t => {
  const { ask, origin } = await startWire(t, () => response('x', [hour]))
  await ask('/a~b?x')
  for (const target of ['/a%7eb?x', '/a%7Eb?x', '/%61~b?x', '/./a~b?x', '/c/../a~b?x', 'http://proxy.test/a~b?x', 'HTTP://PROXY.test:80/a~b?x']) t.equal(outcomeOf(await ask(target), false), 'hit', target)
  t.equal(origin.requests.length, 1)
})

t.test('a response to GET answers HEAD, and that to HEAD answers nobody (RFC 9111 4, 3)', async t => {
  const { ask, origin } = await startWire(t, ({ text }) => text.startsWith('HEAD') ? `HTTP/1.1 200 OK\r\nContent-Length: 7\r\n${hour}\r\n\r\n` : response('content', [hour, 'Content-Type: text/plain', 'X-Own: 1']))
  await ask('/', [], 'HEAD')
  t.equal(outcomeOf(await ask('/', [], 'HEAD'), false), 'uri-miss')
  await ask('/')
  const head = await ask('/', [], 'HEAD')
  t.equal(outcomeOf(head, false), 'hit')
  t.equal(bodyOf(head), '')
  for (const line of ['content-length: 7', 'content-type: text/plain', 'x-own: 1', 'age: 0']) t.match(head, `\r\n${line}\r\n`)
  t.equal(origin.requests.length, 3)
})

t.test('of methods other than GET and HEAD none is answered from the cache (RFC 9111 4)', async t => {
  const { ask, origin } = await startWire(t, ({ text }) => text.startsWith('OPTIONS') || text.startsWith('PROPFIND') ? response('told', [hour]) : response('content', [hour]))
  await ask('/')
  for (const method of ['OPTIONS', 'PROPFIND', 'OPTIONS', 'PROPFIND']) {
    const answer = await ask('/', [], method)
    t.equal(outcomeOf(answer, false), 'method')
    t.equal(bodyOf(answer), 'told')
  }
  t.equal(bodyOf(await ask('/')), 'content')
  t.equal(origin.requests.length, 5)
})

t.test('Age is made for each answer and replaces the one received (RFC 9111 4, MUST)', async t => {
  const row = (title: string, fields: readonly string[], takes: number, ages: ReadonlyArray<readonly [after: number, age: number]>): Row => [title, { fields: [hour, ...fields], takes }, [
    [0, 'uri-miss'], ...ages.map(([after, age]) => [after, 'hit', { has: [new RegExp(`\\r\\nage: ${age}\\r\\n`), /^(?![^]*\r\nage: [^]*\r\nage: )/i] }] as const)
  ]]
  await checkRows(t, [
    row('none received', [], 0, [[0, 0], [1, 1], [100, 101]]),
    row('one received', ['Age: 10'], 0, [[0, 10], [5, 15]]),
    row('and the time that the response took', ['Age: 10'], 3, [[0, 13]]),
    row('the first of several', ['Age: 10, 20', 'Age: 30'], 0, [[0, 10]]),
    row('nonsense', ['Age: old'], 0, [[1, 1]])
  ])
  await checkRows(t, [['also in a 304 and a 206', [hour, 'Age: 10', 'ETag: "1"'], [
    [0, 'uri-miss'], [1, 'hit', { send: ['If-None-Match: "1"'], has: /^HTTP\/1\.1 304[^]*\r\nage: 11\r\n/ }], [1, 'hit', { send: ['Range: bytes=0-0'], has: /^HTTP\/1\.1 206[^]*\r\nage: 12\r\n/ }]
  ]]])
})

t.test('what a hit sends is what was received: status, fields and bytes', async t => {
  const octets = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('').repeat(2)
  const { ask } = await startWire(t, ({ text, socket }) => {
    const said = response(octets.repeat(text.includes(' /long') ? 100 : 1), [hour, 'X-Lines: 1', 'X-Lines: 2', 'X-Octets: \xe9', '__proto__: 1', 'Constructor: 2'], '203 Whatever')
    socket.write(Buffer.from(said, 'latin1'))
  })
  for (const path of ['/', '/long']) {
    const [first, second] = [await ask(path), await ask(path)]
    t.equal(bodyOf(first), octets.repeat(path === '/' ? 1 : 100))
    t.equal(bodyOf(second), bodyOf(first))
    for (const answer of [first, second]) t.match(answer, /^HTTP\/1\.1 203 [^]*\r\nx-lines: 1\r\nx-lines: 2\r\n[^]*x-octets: \xe9\r\n[^]*__proto__: 1\r\n[^]*constructor: 2\r\n/)
  }
})

t.test('the most recent response is used after a newer one was asked for (RFC 9111 4, MUST)', async t => {
  await checkRows(t, [['no-cache', ({ count }) => ({ fields: [hour], body: `answer ${count}` }), [
    [0, 'uri-miss'], [1, 'request', { send: ['Cache-Control: no-cache'] }], [1, 'hit', { has: /answer 2$/ }],
    [1, 'request', { send: ['Cache-Control: max-age=0'] }], [1, 'hit', { has: /answer 3$/ }]
  ]]])
})
