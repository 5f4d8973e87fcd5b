/** `No-Vary-Search`: an origin server's word that parts of the query do not matter (draft-ietf-httpbis-no-vary-search). */
import fc from 'fast-check'
import t from 'tap'
import { bodyOf, checkRows, rfc9111, startWire } from '../fixtures/conformance.ts'
import { talk, type ProxySettings } from '../fixtures/proxy.ts'
import { response } from '../fixtures/raw-origin.ts'

const status = (answer: string): string => [...answer.matchAll(/\r\ncache-status: ([^\r]*)/gi)].at(-1)?.[1] ?? ''
const says = (value: string): string[] => ['Cache-Control: max-age=60', `No-Vary-Search: ${value}`]
const withCache = (cache: object): ProxySettings => ({ ...rfc9111, route: { cache: { setCookie: 'store', vary: 'meaning', ...cache } } })

t.test('a response stored for an equivalent query is reused, and Cache-Status says so (section 6)', t => checkRows(t, [
  ['params that do not matter', says('params=("utm")'), [[0, 'uri-miss', { query: '?a=1&utm=x' }], [0, 'hit no-vary-search', { query: '?utm=y&a=1' }], [0, 'hit no-vary-search', { query: '?a=1' }], [0, 'uri-miss', { query: '?a=2' }]]],
  ['the presented URI itself first', says('params=("utm")'), [[0, 'uri-miss', { query: '?utm=x' }], [0, 'hit', { query: '?utm=x' }]]],
  ['only some matter', says('params, except=("id")'), [[0, 'uri-miss', { query: '?id=1&x=2' }], [0, 'hit no-vary-search', { query: '?y&id=1' }], [0, 'uri-miss', { query: '?id=2' }], [0, 'uri-miss']]],
  ['none matters', says('params'), [[0, 'uri-miss', { query: '?a=1' }], [0, 'hit no-vary-search']]],
  ['their order does not', says('key-order'), [[0, 'uri-miss', { query: '?a=1&b=2' }], [0, 'hit no-vary-search', { query: '?b=2&a=1' }], [0, 'uri-miss', { query: '?a=2&b=1' }]]],
  ['a declaration that cannot be understood is none', says('params=(a)'), [[0, 'uri-miss', { query: '?a=1' }], [0, 'uri-miss']]],
  ['no declaration', ['Cache-Control: max-age=60'], [[0, 'uri-miss', { query: '?a=1' }], [0, 'uri-miss', { query: '?a=1&' }]]],
  ['a second ? belongs to the query', says('params=("utm")'), [[0, 'uri-miss', { query: '?a=1' }], [0, 'uri-miss', { query: '??a=1' }]]],
  ['HEAD as well', says('params'), [[0, 'uri-miss', { query: '?a=1' }], [0, 'hit no-vary-search', { method: 'HEAD' }]]],
  ['what else the response says still counts: no-store', ['Cache-Control: no-store', 'No-Vary-Search: params'], [[0, 'uri-miss', { query: '?a=1' }], [0, 'uri-miss']]],
  ['Vary', [...says('params'), 'Vary: X-Kind'], [[0, 'uri-miss', { query: '?a=1', send: ['X-Kind: a'] }], [0, 'hit no-vary-search', { send: ['X-Kind: a'] }], [0, 'vary-miss', { send: ['X-Kind: b'] }]]],
  ['a stale one is validated', ({ count }) => count === 1 ? ['Cache-Control: max-age=5', 'ETag: "1"', 'No-Vary-Search: params'] : { raw: 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n' }, [[0, 'uri-miss', { query: '?a=1' }], [6, 'stale validated', { query: '?a=2', asks: /\?a=2[^]*if-none-match: "1"/i }], [1, 'hit no-vary-search', { query: '?a=3' }]]],
  ['of several declarations for one path the last counts (MAY)', ({ text }) => says(text.includes('other') ? 'params=("b")' : 'params=("a")'), [[0, 'uri-miss', { query: '?a=1' }], [0, 'hit no-vary-search', { query: '?a=2' }], [0, 'uri-miss', { query: '?other' }], [0, 'uri-miss', { query: '?a=3' }]]]
]))

t.test('a route may turn it off', t => checkRows(t, [
  ['off', says('params'), [[0, 'uri-miss', { query: '?a=1' }], [0, 'uri-miss']]]
], withCache({ noVarySearch: false })))

t.test('it applies to what the rules of the route leave of the query', t => checkRows(t, [
  ['together', says('params=("b")'), [[0, 'uri-miss', { query: '?a=1&b=1&c=1' }], [0, 'hit no-vary-search', { query: '?a=2&b=2&c=1' }], [0, 'uri-miss', { query: '?c=2' }]]],
  ['apart by a field of the key', says('params'), [[0, 'uri-miss', { query: '?b=1', send: ['X-Team: 1'] }], [0, 'uri-miss', { query: '?b=2', send: ['X-Team: 2'] }], [0, 'hit no-vary-search', { query: '?b=3', send: ['X-Team: 2'] }]]]
], withCache({ key: { query: { ignore: ['a'] }, fields: ['x-team'] } })))

t.test('an unsafe request to a URI ends the use of an equivalent one for it (RFC 9111 4.4)', async t => {
  for (const cache of [{}, { key: { fields: ['x-team'] } }]) {
    const { ask, proxy } = await startWire(t, ({ text, count }) => text.startsWith('GET') ? response(String(count), says('params=("utm")')) : response(''), withCache(cache))
    const fields = ['X-Team: 1']
    t.equal(bodyOf(await ask('/?utm=1', fields)), '1')
    t.equal(bodyOf(await ask('/?utm=2', fields)), '1')
    await talk(proxy.port, 'PUT /?utm=2 HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    t.equal(bodyOf(await ask('/?utm=2', fields)), '3')
    t.equal(bodyOf(await ask('/?utm=2', fields)), '3')
    t.equal(bodyOf(await ask('/?utm=3', fields)), '3')
  }
})

t.test('its own host and path are never left, whatever is declared', async t => {
  const { ask, proxy } = await startWire(t, ({ text }) => response(`${text.split(' ')[1]} ${/x-forwarded-host: (\S+)/i.exec(text)?.[1] ?? ''}`, says('params, key-order')))
  await ask('/a?x=1')
  t.match(status(await ask('/b?x=1')), 'uri-miss')
  t.match(status(await ask('/a/?x=1')), 'uri-miss')
  t.match(await talk(proxy.port, 'GET /a?x=1 HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n'), 'fwd=uri-miss')
})

t.test('property: whatever an origin server declares, a client gets what was made for its own parameters, but for those declared not to matter', async t => {
  const { ask } = await startWire(t, ({ text }) => {
    const target = text.split(' ')[1] as string
    return response(target, says(/x-declares: ([^\r]*)/i.exec(text)?.[1] ?? ''))
  })
  const pair = fc.constantFrom('a=1', 'a=2', 'b=1', '%61=1', 'a%3D1', '?a=1', '&', 'a=%ff', 'a=%fe', 'a=%26b=1', 'b', 'b=', 'A=1', 'a=1;b=1', 'utm=1', 'utm=2', '+', '%20', '%00')
  const query = fc.array(pair, { maxLength: 4 }).map(pairs => pairs.join('&'))
  const declaration = fc.constantFrom('params=("utm")', 'key-order', 'params=("utm"), key-order', 'params, except=("a" "b")', 'params=("?a")', '')
  const values = (target: string, keep: (name: string) => boolean, sorted: boolean): string => {
    const parsed = target.slice(target.indexOf('?') + 1).split('&').filter(text => text !== '').map(text => {
      const [name = '', ...rest] = text.split('=')
      return [name, rest.join('=')].map(part => unescape(part.replaceAll('+', ' ')))
    }).filter(([name = '']) => keep(name)).map(part => JSON.stringify(part))
    return (sorted ? parsed.sort() : parsed).join()
  }
  let run = 0
  let reused = 0
  // Relatives of a query, of which the declarations make the same: few queries drawn apart from each other are.
  const related = (text: string): string[] => [text, `${text}&utm=3`, text.split('&').reverse().join('&')]
  await fc.assert(fc.asyncProperty(fc.array(query, { minLength: 1, maxLength: 3 }), declaration, async (drawn, declared) => {
    const queries = drawn.flatMap(related)
    const path = `/run${run++}`
    const keep = (name: string): boolean => declared.includes('except') ? name === 'a' || name === 'b' : !declared.includes(`"${name}"`)
    for (const text of queries) {
      const answer = await ask(`${path}?${text}`, [`X-Declares: ${declared}`])
      const made = bodyOf(answer)
      if (made === `${path}?${text}`) continue
      reused++
      const sorted = declared.includes('key-order')
      if (declared === '' || values(made, keep, sorted) !== values(`${path}?${text}`, keep, sorted)) throw new Error(`${path}?${text} got what was made for ${made}, by ${declared}`)
    }
  }), { numRuns: 80 })
  t.ok(reused > 0, `${reused} answers were made for another spelling`)
})
