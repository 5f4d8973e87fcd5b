/** Cache groups: stored responses of one origin that are invalidated together (RFC 9875). */
import t from 'tap'
import { rfc9111, startWire, type Wire } from '../fixtures/conformance.ts'
import { talk, type ProxySettings } from '../fixtures/proxy.ts'
import { response } from '../fixtures/raw-origin.ts'
import type { Test } from 'tap'

const status = (answer: string): string => [...answer.matchAll(/\r\ncache-status: ([^\r]*)/gi)].at(-1)?.[1] ?? ''

/** Each path is in the groups it names: `/a,b` in the groups a and b. Unsafe requests are answered with the fields given. */
async function grouped (t: Test, answer: readonly string[], settings: ProxySettings = rfc9111, code = '200 OK'): Promise<Wire & { hits: (...paths: string[]) => Promise<boolean[]>, send: (method: string, path: string, host?: string) => Promise<string> }> {
  const wire = await startWire(t, ({ text }) => {
    const [method, path = ''] = text.split(' ')
    if (method !== 'GET') return response('', answer, code)
    const names = path.split('?')[0]?.split('/').at(-1)?.split(',').filter(name => name !== '') ?? []
    return response('x', ['Cache-Control: max-age=60', ...(names.length === 0 ? [] : [`Cache-Groups: ${names.map(name => `"${name}"`).join(', ')}`]), ...(/x-invalidate/i.test(text) ? answer : [])])
  }, settings)
  return {
    ...wire,
    async hits (...paths) {
      const hits: boolean[] = []
      for (const path of paths) hits.push(status(await wire.ask(path)).includes('; hit'))
      return hits
    },
    send: (method, path, host = 'proxy.test') => talk(wire.proxy.port, `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  }
}

t.test('the answer to an unsafe request invalidates the groups it names (RFC 9875 3, MAY)', async t => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    const { hits, send } = await grouped(t, ['Cache-Group-Invalidation: "a", "z";x=1'])
    t.same(await hits('/a', '/a,b', '/b', '/c?a', '/A'), [false, false, false, false, false])
    await send(method, '/action')
    t.same(await hits('/a', '/a,b', '/b', '/c?a', '/A'), [false, false, true, true, true], method)
    t.same(await hits('/a', '/a,b'), [true, true], 'what is stored after it stays')
  }
})

t.test('the field is ignored where the method is safe (RFC 9875 3, MUST)', async t => {
  const { ask, hits, send } = await grouped(t, ['Cache-Group-Invalidation: "a"'])
  await hits('/a')
  await ask('/b', ['X-Invalidate: yes'])
  await ask('/b', [], 'HEAD')
  await send('OPTIONS', '/b')
  t.same(await hits('/a'), [true])
})

t.test('an error changes nothing, as for the target URI (RFC 9111 4.4)', async t => {
  for (const code of ['400 No', '404 No', '500 No']) {
    const { hits, send } = await grouped(t, ['Cache-Group-Invalidation: "a"'], rfc9111, code)
    await hits('/a')
    await send('POST', '/action')
    t.same(await hits('/a'), [true], code)
  }
})

t.test('what is no list of strings is ignored', async t => {
  for (const value of ['a', '"a", b', '("a")', '"a",', '"a', '1']) {
    const { hits, send } = await grouped(t, [`Cache-Group-Invalidation: ${value}`])
    await hits('/a')
    await send('POST', '/action')
    t.same(await hits('/a'), [true], value)
  }
})

t.test('groups of the same name on another origin are other groups (RFC 9875 2.1)', async t => {
  const { hits, send } = await grouped(t, ['Cache-Group-Invalidation: "a"'])
  await hits('/a')
  await send('POST', '/action', 'other.test')
  await send('POST', '/action', 'proxy.test:81')
  t.same(await hits('/a'), [true])
  await send('POST', '/action', 'PROXY.test:80')
  t.same(await hits('/a'), [false])
})

t.test('32 groups of 32 characters each are supported (RFC 9875 2, 3, MUST)', async t => {
  const names = Array.from({ length: 32 }, (_, i) => String(i).padStart(32, 'g'))
  for (const [stored, named] of [[names, names.slice(31)], [names.slice(31), names]] as const) {
    const { hits, send } = await grouped(t, [`Cache-Group-Invalidation: ${named.map(name => `"${name}"`).join(', ')}`])
    const path = `/${stored.join(',')}`
    await hits(path)
    await send('POST', '/action')
    t.same(await hits(path), [false])
  }
})

t.test('invalidating a stored response invalidates its groups, and it ends there: no cascade (RFC 9875 2.2.1, MAY)', async t => {
  const { hits, send } = await grouped(t, [])
  await hits('/a', '/a,b', '/b', '/c')
  await send('DELETE', '/a')
  t.same(await hits('/a', '/a,b', '/b', '/c'), [false, false, true, true])
})

t.test('groups are those of the last message: a 304 brings others', async t => {
  const { ask, pass, proxy } = await startWire(t, ({ text }) => {
    if (text.startsWith('POST')) return response('', [`Cache-Group-Invalidation: "${/x-group: (\w+)/i.exec(text)?.[1] ?? ''}"`])
    if (/if-none-match/i.test(text)) return 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\nCache-Groups: "new"\r\n\r\n'
    return response('x', ['Cache-Control: max-age=60', 'ETag: "1"', 'Cache-Groups: "old"'])
  })
  const invalidate = (group: string): Promise<string> => talk(proxy.port, `POST /action HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\nX-Group: ${group}\r\nContent-Length: 0\r\n\r\n`)
  await ask('/')
  pass(61)
  t.match(status(await ask('/')), 'detail=validated')
  await invalidate('old')
  t.match(status(await ask('/')), '; hit')
  await invalidate('new')
  t.match(status(await ask('/')), 'fwd=uri-miss')
})

t.test('a member that was asked for before the invalidation is not stored after it', async t => {
  let answer = (): void => {}
  const { ask, proxy } = await startWire(t, ({ text, socket, count }) => {
    if (text.startsWith('POST')) return response('', ['Cache-Group-Invalidation: "a"'])
    if (count > 1) return response('new', ['Cache-Control: max-age=60', 'Cache-Groups: "a"'])
    answer = () => { socket.write(response('old', ['Cache-Control: max-age=60', 'Cache-Groups: "a"'])) }
    talk(proxy.port, 'POST /action HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n').then(() => { answer() }, t.fail)
    return undefined
  })
  t.match(await ask('/'), /old$/)
  t.match(await ask('/'), /new$/)
  t.match(status(await ask('/')), '; hit')
})

t.test('members on any route and under any key are reached, also from where no route takes a GET', async t => {
  const { ask, send } = await grouped(t, ['Cache-Group-Invalidation: "a"'], {
    routes: [
      { name: 'keyed', upstream: 'default', match: { path: '/keyed/*' }, cache: { key: { fields: ['X-Team'], query: { ignore: ['utm'] } } } },
      { name: 'pages', upstream: 'default', match: { path: '/pages/*' } },
      { name: 'actions', upstream: 'default', match: { path: '/action', methods: ['POST'] } }
    ]
  })
  const rows = [['/keyed/a', ['X-Team: 1']], ['/keyed/a', ['X-Team: 2']], ['/pages/a', []], ['/pages/b', []]] as const
  for (const [path, fields] of rows) t.match(status(await ask(path, fields)), 'uri-miss')
  for (const [path, fields] of rows) t.match(status(await ask(path, fields)), '; hit')
  await send('POST', '/action')
  for (const [path, fields] of rows) t.match(status(await ask(path, fields)), path.endsWith('b') ? '; hit' : 'uri-miss')
})
