/** Purges as clients, operators and applications see them, both ends of the wire on one page. Time is injected. */
import t, { type Test } from 'tap'
import { get, startProxy, talk, until, type ProxySettings } from '../fixtures/proxy.ts'
import { response, startRawOrigin, type RawExchange } from '../fixtures/raw-origin.ts'

const statusOf = (text: string): string => /cache-status: ([^\r]*)/i.exec(text)?.[1] ?? ''
const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4)
const pathOf = ({ text }: RawExchange): string => text.split(' ')[1] as string
const isHit = /^holdfast; hit/

async function timed (t: Test, answer: Parameters<typeof startRawOrigin>[1], settings: ProxySettings = {}) {
  // Whole seconds, as dates have.
  let at = Math.floor(Date.now() / 1000) * 1000
  const origin = await startRawOrigin(t, answer)
  const proxy = await startProxy(t, origin.url, { ...settings, holdfast: { now: () => at } })
  return {
    origin,
    proxy,
    control: proxy.control,
    ask: (path = '/', fields: string[] = []) => talk(proxy.port, get(path, fields)),
    askHost: (host: string, path: string) => talk(proxy.port, get(path).replace('proxy.test', host)),
    method: (method: string, path: string, fields: string[] = []) => talk(proxy.port, get(path, fields).replace('GET', method)),
    pass: (seconds: number) => { at += seconds * 1000 }
  }
}

const fresh = ['Cache-Control: max-age=60', 'ETag: "1"']

t.test('tags stay with the cache, on misses and hits alike, unless they are to be forwarded', async t => {
  const answer = (exchange: RawExchange): string => response('x', [pathOf(exchange) === '/no' ? 'Cache-Control: no-store' : 'Cache-Control: max-age=60', 'Surrogate-Key: one two', 'Cache-Tag: three'])
  const { ask } = await timed(t, answer)
  for (const path of ['/a', '/a', '/no']) t.notMatch(await ask(path), /surrogate-key|cache-tag/i)

  const open = await timed(t, answer, { cache: { forwardTags: true } })
  for (const path of ['/a', '/a', '/no']) t.match(await open.ask(path), /surrogate-key: one two\r\n[^]*cache-tag: three\r\n/i)
})

t.test('a response with more tags than are kept is passed on and not stored', async t => {
  const { ask } = await timed(t, () => response('x', [...fresh, 'Surrogate-Key: a b c']), { cache: { maxTags: 2 } })
  for (let i = 0; i < 2; i++) t.match(statusOf(await ask()), 'fwd=uri-miss; fwd-status=200; detail=too-many-tags')
})

t.test('a purge by URL takes every variant and every key of the URI, and nothing else', async t => {
  const { ask, control } = await timed(t, () => response('x', [...fresh, 'Vary: Accept-Language']), { route: { cache: { key: { cookies: ['tier'], query: { sort: true } } } } })
  const visits: Array<[string, string[]]> = [['/p?a=1&b=2', []], ['/p?b=2&a=1', ['Accept-Language: de']], ['/p?a=1&b=2', ['Cookie: tier=gold']], ['/q', []]]
  for (const [path, fields] of visits) await ask(path, fields)

  const dry = await control.purge({ url: 'HTTP://Proxy.Test:80/x/../p?b=2&a=1' }, { dryRun: true })
  t.match(dry, { mode: 'hard', dryRun: true, responses: 3 })
  for (const [path, fields] of visits) t.match(statusOf(await ask(path, fields)), isHit, 'a dry run changes nothing')
  t.same(await control.purge({ url: 'http://proxy.test/p?a=1&b=2' }), { ...dry, dryRun: false })

  for (const [path, fields] of visits.slice(0, 3)) t.match(statusOf(await ask(path, fields)), 'fwd=')
  t.match(statusOf(await ask('/q')), isHit)
})

t.test('a purge by URL knows the other names of a host, rewritten paths, and queries that mean the same', async t => {
  const { askHost, control } = await timed(t, () => response('x', [...fresh, 'No-Vary-Search: params=("utm")']), {
    routes: [
      { name: 'shop', upstream: 'default', match: { path: '/shop/*' }, rewrite: { stripPrefix: '/shop', addPrefix: '/v1' }, cache: { key: { hosts: { 'www.a.test': 'a.test' }, ignorePathCase: true } } },
      { name: 'rest', upstream: 'default' }
    ]
  })
  await askHost('a.test', '/shop/X')
  await askHost('a.test', '/plain?utm=1')

  t.match(await control.purge({ url: 'http://www.a.test/shop/x' }), { responses: 1 })
  t.match(await control.purge({ url: 'http://a.test/plain?utm=2' }), { responses: 1 }, 'which would have been answered with the same response')
  t.match(statusOf(await askHost('a.test', '/shop/x')), 'fwd=')
  t.match(statusOf(await askHost('a.test', '/plain?utm=2')), 'fwd=')
  t.match((await control.entries({ route: 'shop' })).entries.map(({ url }) => url), ['http://a.test/shop/x'])
  t.match(await control.purge({ prefix: '/shop/' }), { responses: 1 })
  t.match(await control.purge({ prefix: '/sh' }), { responses: 0 })
})

t.test('purges by tag, prefix, host, route and all; what is given together must fit together', async t => {
  const { askHost, control } = await timed(t, exchange => response('x', [...fresh, `Surrogate-Key: all ${pathOf(exchange).slice(1).replace('/', ' ')}`]), {
    routes: [{ name: 'news', upstream: 'default', match: { path: '/news/*' } }, { name: 'rest', upstream: 'default' }]
  })
  const visits: Array<[string, string]> = [['a.test', '/news/1'], ['a.test', '/news/2'], ['b.test', '/news/1'], ['a.test', '/newspaper'], ['b.test:81', '/x']]
  const store = async (): Promise<void> => { for (const [host, path] of visits) await askHost(host, path) }
  const left = async (): Promise<string[]> => (await control.entries()).entries.map(({ url }) => url.slice(7)).sort()
  const all = visits.map(([host, path]) => host + path).sort()

  for (const [selector, purged] of [
    [{ tags: ['2', 'x', 'nobody'] }, ['a.test/news/2', 'b.test:81/x']],
    [{ tags: ['all'], host: 'b.test' }, ['b.test/news/1']],
    [{ tags: ['news', 'all'], prefix: '/news/', host: 'a.test' }, ['a.test/news/1', 'a.test/news/2']],
    [{ prefix: '/news' }, ['a.test/news/1', 'a.test/news/2', 'b.test/news/1', 'a.test/newspaper']],
    [{ prefix: '/news/' }, ['a.test/news/1', 'a.test/news/2', 'b.test/news/1']],
    [{ host: 'B.test:81' }, ['b.test:81/x']],
    [{ route: 'rest' }, ['a.test/newspaper', 'b.test:81/x']],
    [{ route: 'rest', host: 'b.test' }, []],
    [{ all: true }, all]
  ] as const) {
    await store()
    t.same(await left(), all)
    t.match(await control.purge(selector), { responses: purged.length }, JSON.stringify(selector))
    t.same(await left(), all.filter(url => !purged.includes(url as never)))
  }
})

t.test('what is no selector is refused with its place, and what was probably meant', async t => {
  const { control } = await timed(t, () => response('x', fresh))
  for (const [selector, code, path] of [
    [{}, 'bad_selector', ''], [{ url: 'http://a/', all: true }, 'bad_selector', ''], [{ url: 'http://a/', tags: ['x'] }, 'bad_selector', ''], [{ all: false }, 'bad_selector', '/all'],
    [{ url: '/page' }, 'bad_request', '/url'], [{ url: 'http://a/%zz' }, 'bad_url', '/url'], [{ url: 'http://u@a/' }, 'bad_url', '/url'], [{ url: 'http://a/../x' }, 'bad_url', '/url'],
    [{ tags: [] }, 'bad_request', '/tags'], [{ tags: 'x' }, 'bad_request', '/tags'], [{ tags: ['x'.repeat(1025)] }, 'bad_request', '/tags/0'], [{ prefix: 'news' }, 'bad_request', '/prefix'],
    [{ prefix: '/%zz' }, 'bad_prefix', '/prefix'], [{ host: 'a b' }, 'bad_host', '/host'], [{ route: 'defualt' }, 'unknown_route', '/route'], [{ tag: 'x' }, 'bad_request', '/tag'],
    [{ all: true, mode: 'sotf' }, 'bad_request', '/mode']
  ] as const) {
    await t.rejects(control.purge(selector as never), { code, problems: [{ path }] }, JSON.stringify(selector))
  }
  await t.rejects(control.purge({ route: 'defualt' }), /did you mean "default"/)
})

t.test('a soft purge: stale from now on, validated by the next request', async t => {
  const { ask, control, origin, pass } = await timed(t, exchange => / 1\r\n|if-none-match: "1"/i.test(exchange.text) ? 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n' : response('body', [...fresh, 'Surrogate-Key: a']))
  await ask()
  pass(10)

  t.match(await control.purge({ tags: ['a'] }, { mode: 'soft' }), { mode: 'soft', responses: 1 })
  t.match((await control.entry('http://proxy.test/')).entries, [{ fresh: false, ttl: 0, age: 10, hits: 0, tags: ['a'] }])
  const validated = await ask()
  t.match(statusOf(validated), /fwd=stale; fwd-status=304; stored; ttl=60; detail=validated/)
  t.equal(bodyOf(validated), 'body')
  t.match(statusOf(await ask()), isHit)
  t.equal(origin.requests.length, 2)
  t.match(await control.purge({ tags: ['a'] }), { responses: 1 }, 'the tag is still there after a 304 without one')
})

t.test('after a soft purge a HEAD brings a response back only where a validator shows that it is the same', async t => {
  for (const [tag, outcome] of [['', 'fwd=stale'], ['ETag: "1"', 'hit']] as const) {
    for (const selector of [{ url: 'http://proxy.test/' }, { tags: ['a'] }, { all: true as const }]) {
      const fields = ['Cache-Control: max-age=60', 'Surrogate-Key: a', ...tag === '' ? [] : [tag]]
      const { ask, control, method } = await timed(t, ({ text }) => text.startsWith('HEAD') ? ['HTTP/1.1 200 OK', 'Content-Length: 1', ...fields, '', ''].join('\r\n') : response('x', fields))
      await ask()
      await control.purge(selector, { mode: 'soft' })
      await method('HEAD', '/')

      t.match(statusOf(await ask()), outcome, `${tag} ${JSON.stringify(selector)}`)
    }
  }
})

t.test('after a soft purge stale-while-revalidate and stale-if-error apply, and must-revalidate forbids them', async t => {
  let broken = true
  const { ask, control, origin } = await timed(t, exchange => broken && origin.requests.length > 3
    ? response('no', [], '500 Broken')
    : response(`body ${exchange.count}`, [`Cache-Control: max-age=60, ${{ '/swr': 'stale-while-revalidate=30', '/sie': 'stale-if-error=30', '/must': 'stale-while-revalidate=30, stale-if-error=30, must-revalidate' }[pathOf(exchange)] ?? ''}`]))
  for (const path of ['/swr', '/sie', '/must']) await ask(path)

  await control.purge({ all: true }, { mode: 'soft' })

  t.match(statusOf(await ask('/sie')), /fwd=stale; fwd-status=500; .*detail=stale-if-error/)
  t.match(await ask('/must'), /^HTTP\/1\.1 500 /)
  broken = false
  const stale = await ask('/swr')
  t.equal(bodyOf(stale), 'body 1')
  t.match(statusOf(stale), /hit; ttl=0; detail=stale-while-revalidate/)
  await until(() => origin.requests.length === 6)
  let renewed = ''
  await until(() => renewed !== '' || (ask('/swr').then(text => { if (isHit.test(statusOf(text)) && bodyOf(text) === 'body 6') renewed = text }), false))
  t.match(statusOf(renewed), isHit)
})

/** An origin that holds its answers back until the test lets one go. */
async function holding (t: Test, settings: ProxySettings = {}) {
  const held: RawExchange[] = []
  const site = await timed(t, exchange => { held.push(exchange) }, settings)
  return { ...site, held, release: (i: number, text: string) => { held[i]?.socket.write(text) } }
}

t.test('a response that was asked for before a purge is not stored after it, whatever the purge chose by', async t => {
  for (const selector of [{ url: 'http://proxy.test/a' }, { tags: ['x'] }, { prefix: '/a' }, { host: 'proxy.test' }, { route: 'default' }, { all: true as const }]) {
    for (const mode of ['hard', 'soft'] as const) {
      const { ask, control, held, release } = await holding(t)
      const before = ask('/a')
      await until(() => held.length === 1)
      await control.purge(selector, { mode })
      release(0, response('old', [...fresh, 'Surrogate-Key: x y']))

      t.equal(bodyOf(await before), 'old', 'who asked before gets it')
      const after = ask('/a')
      await until(() => held.length === 2)
      release(1, response('new', fresh))
      t.equal(bodyOf(await after), 'new', `${JSON.stringify(selector)} ${mode}`)
      t.match(statusOf(await ask('/a')), isHit)
    }
  }
})

t.test('a purge of tags concerns only what has them', async t => {
  const { ask, control, held, release } = await holding(t)
  const other = ask('/other')
  await until(() => held.length === 1)
  await control.purge({ tags: ['x'] })
  release(0, response('other', [...fresh, 'Surrogate-Key: y']))
  await other
  t.match(statusOf(await ask('/other')), isHit)
})

t.test('who asks after a purge does not get what others wait for since before it', async t => {
  for (const selector of [{ url: 'http://proxy.test/a' }, { tags: ['x'] }]) {
    const { ask, control, held, release } = await holding(t)
    const before = [ask('/a'), ask('/a')]
    await until(() => held.length === 1)
    await control.purge(selector)
    const after = [ask('/a'), ask('/a'), ask('/a')]
    if ('url' in selector) await until(() => held.length === 2)
    release(0, response('old', [...fresh, 'Surrogate-Key: x']))
    await until(() => held.length === 2)
    release(1, response('new', [...fresh, 'Surrogate-Key: x']))

    t.equal(bodyOf(await before[0] as string), 'old')
    for (const one of after) t.equal(bodyOf(await one), 'new', JSON.stringify(selector))
    t.equal(held.length, 2, 'and asks once for all who came later')
  }
})

t.test('a purge wins over a validation under way: hard, and the 304 brings nothing back; soft, and it stays stale', async t => {
  for (const [mode, selector] of [['hard', { tags: ['x'] }], ['hard', { url: 'http://proxy.test/a' }], ['hard', { all: true as const }], ['soft', { tags: ['x'] }], ['soft', { url: 'http://proxy.test/a' }]] as const) {
    for (const background of [false, true]) {
      const { ask, control, held, release, pass } = await holding(t)
      const first = ask('/a')
      await until(() => held.length === 1)
      release(0, response('body', [`Cache-Control: max-age=60${background ? ', stale-while-revalidate=600' : ''}`, 'ETag: "1"', 'Surrogate-Key: x']))
      await first
      pass(70)
      const second = ask('/a')
      await until(() => held.length === 2)
      if (background) t.match(statusOf(await second), 'detail=stale-while-revalidate')

      await control.purge(selector, { mode })
      release(1, 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n')
      if (!background) t.equal(bodyOf(await second), 'body')
      await until(() => control.stats().upstreams['default']?.targets.every(({ inFlight }) => inFlight === 0) === true)

      const { entries } = await control.entry('http://proxy.test/a')
      if (mode === 'hard') t.same(entries, [], `${JSON.stringify(selector)} ${background}`)
      else t.match(entries, [{ fresh: false }], `${JSON.stringify(selector)} ${background}`)
    }
  }
})

t.test('a response that was taken out does not stand in for an upstream that fails; one made stale does', async t => {
  for (const [mode, status] of [['hard', 500], ['soft', 200]] as const) {
    const { ask, control, held, release, pass } = await holding(t)
    const first = ask('/a')
    await until(() => held.length === 1)
    release(0, response('body', ['Cache-Control: max-age=60, stale-if-error=600']))
    await first
    pass(70)
    const second = ask('/a')
    await until(() => held.length === 2)
    await control.purge({ url: 'http://proxy.test/a' }, { mode })
    release(1, response('no', [], '500 Broken'))
    t.match(await second, new RegExp(`^HTTP/1\\.1 ${status} `))
  }
})

t.test('the method PURGE: for listed addresses where the route says so, else forwarded as any other', async t => {
  const { ask, method, origin } = await timed(t, () => response('x', fresh), {
    routes: [
      { name: 'open', upstream: 'default', match: { path: '/open/*', methods: ['GET'] }, purge: { allow: ['loopback'] } },
      { name: 'others', upstream: 'default', match: { path: '/others/*' }, purge: { allow: ['10.0.0.0/8', '192.0.2.7'] } },
      { name: 'closed', upstream: 'default', match: { path: '/closed/*' }, purge: { allow: [] } },
      { name: 'rest', upstream: 'default' }
    ],
    server: { trustedProxies: ['loopback'] }
  })
  for (const path of ['/open/a?b', '/others/a', '/closed/a', '/rest/a']) await ask(path)
  t.equal(origin.requests.length, 4)

  const purged = await method('PURGE', '/open/./a?b')
  t.match(purged, /^HTTP\/1\.1 200 OK\r\n[^]*content-type: application\/json[^]*cache-control: no-store|cache-control: no-store[^]*content-type: application\/json/i)
  t.match(JSON.parse(bodyOf(purged)), { mode: 'hard', dryRun: false, responses: 1 })
  t.match(JSON.parse(bodyOf(await method('PURGE', '/open/a?b'))), { responses: 0 })
  t.match(await method('PURGE', '/open/a', ['X-Purge-Mode: gentle']), /^HTTP\/1\.1 400 [^]*"bad_purge"/)
  t.match(await method('PURGE', '/open/a', ['X-Forwarded-For: 203.0.113.9']), /^HTTP\/1\.1 403 [^]*"purge_not_allowed"/, 'the client is whom a trusted proxy names')
  t.match(await method('PURGE', '/open/a', ['Content-Length: 2', '', 'hi']), /^HTTP\/1\.1 400 [^]*"bad_purge"/)
  t.match(await method('PURGE', '/others/a'), /^HTTP\/1\.1 403 [^]*"purge_not_allowed"/)
  t.match(await method('PURGE', '/others/a', ['X-Forwarded-For: 192.0.2.7', 'X-Purge-Mode: soft']), /"mode":"soft","dryRun":false,"responses":1/)
  t.match(await method('PURGE', '/closed/a'), /^HTTP\/1\.1 405 [^]*allow: GET[^]*"purge_off"/i)
  t.equal(origin.requests.length, 4, 'none of them was forwarded')
  t.match(await method('PURGE', '/rest/a'), /^HTTP\/1\.1 200 [^]*x$/)
  t.match(origin.requests.at(-1), /^PURGE \/rest\/a /)
})

t.test('what is stored can be looked at in pages, by hits, bytes or age, without secrets', async t => {
  const { ask, control, pass } = await timed(t, exchange => response('x'.repeat(150 * Number(pathOf(exchange).slice(2, 5)) || 1), ['Cache-Control: max-age=600', 'ETag: "1"', 'Set-Cookie: sid=secret-1', 'Surrogate-Key: t', 'Vary: Accept-Language, X-Token', 'X-Internal: secret-2']), {
    route: { cache: { setCookie: 'store', key: { cookies: ['tier'], fields: ['x-key'] } } }
  })
  for (let i = 0; i < 7; i++) {
    await ask(`/a${100 + i}`, ['Accept-Language: de', 'X-Token: secret-3', 'Cookie: tier=secret-4', 'X-Key: secret-5'])
    for (let j = 0; j < i; j++) await ask(`/a${100 + i}`, ['Accept-Language: de', 'X-Token: secret-3', 'Cookie: tier=secret-4', 'X-Key: secret-5'])
    pass(1)
  }
  const paths = async (query: object): Promise<string[]> => {
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<typeof control.entries>> = await control.entries({ ...query, limit: 3, ...cursor !== null && { cursor } })
      seen.push(...page.entries.map(({ url }) => url.slice('http://proxy.test/a10'.length)))
      cursor = page.next
    } while (cursor !== null)
    return seen
  }

  t.same(await paths({ order: 'hits' }), ['6', '5', '4', '3', '2', '1', '0'])
  t.same(await paths({ order: 'bytes' }), ['6', '5', '4', '3', '2', '1', '0'])
  t.same(await paths({ order: 'age' }), ['0', '1', '2', '3', '4', '5', '6'])
  t.same(await paths({ tag: 't', prefix: '/a103' }), ['3'])
  t.same(await paths({ tag: 'other' }), [])
  const [row] = (await control.entries({ limit: 1 })).entries
  t.match(row, { url: 'http://proxy.test/a106', route: 'default', status: 200, age: 1, ttl: 599, hits: 6, tags: ['t'], selecting: [{ name: 'accept-language', value: 'de' }, { name: 'x-token', value: /^sha256:/ }] })
  const one = await control.entry('http://proxy.test/a106')
  t.match(one.entries, [{
    key: { authority: 'proxy.test', path: '/a106', fields: ['x-key'], cookies: ['tier'], fingerprint: /^sha256:/ },
    freshnessLifetime: 600,
    fresh: true,
    mayBeServedStale: true,
    partial: false,
    contentBytes: 15_900,
    fields: { etag: '"1"', 'cache-control': 'max-age=600' }
  }])
  t.notMatch(JSON.stringify([one, await control.entries()]), /secret-/)
  await t.rejects(control.entries({ cursor: 'x' }), { code: 'bad_cursor' })
  await t.rejects(control.entries({ limit: 501 }), { code: 'bad_request', problems: [{ path: '/limit' }] })
})

t.test('purges are counted by kind and mode, dry runs are not', async t => {
  const { ask, control, proxy } = await timed(t, () => response('x', [...fresh, 'Surrogate-Key: a b']))
  await ask('/1')
  await ask('/2')
  await control.purge({ all: true }, { dryRun: true })
  const { tags, keys, entries } = control.stats().cache
  t.same({ tags, keys, entries }, { tags: 2, keys: 2, entries: 2 })
  await control.purge({ tags: ['a'] }, { mode: 'soft' })
  await control.purge({ url: 'http://proxy.test/1' })

  const text = await proxy.metrics.metrics()
  t.match(text, /^holdfast_cache_purges_total\{kind="tag",mode="soft"\} 1$/m)
  t.match(text, /^holdfast_cache_purged_responses_total\{kind="tag",mode="soft"\} 2$/m)
  t.match(text, /^holdfast_cache_purged_bytes_total\{kind="url",mode="hard"\} \d{3,}$/m)
  t.match(text, /^holdfast_cache_tags 2$/m)
  t.match(text, /^holdfast_cache_keys 1$/m)
  t.notMatch(text, /kind="all"/)
})
