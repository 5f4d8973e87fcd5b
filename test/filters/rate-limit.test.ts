import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { ConfigError, resolveConfig } from '../../src/config/load.ts'
import type { RateLimitStore } from '../../src/index.ts'
import { cookieValue } from '../../src/rate-limit/client-key.ts'
import { readyLimits } from '../../src/rate-limit/from-config.ts'
import { effectiveWindow, usedAt, waitFor, type Limit } from '../../src/rate-limit/limit.ts'
import { createMemoryRateLimitStore } from '../../src/rate-limit/memory-store.ts'
import { rateFieldNames } from '../../src/rate-limit/rate-fields.ts'
import type { Charge, Verdict } from '../../src/rate-limit/store.ts'
import { get, startProxy, talk, type ProxySettings } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const fresh = ['Cache-Control: max-age=60']
const digest = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`
const statusOf = (text: string): number => Number(/HTTP\/1\.1 ([2-5]\d{2})/.exec(text)?.[1])
const fieldOf = (text: string, name: string): string | undefined => new RegExp(`\r\n${name}: ([^\r]*)`, 'i').exec(text)?.[1]
const from = (address: string, ...fields: string[]): string[] => [`X-Forwarded-For: ${address}`, ...fields]

const limitOf = (settings: Partial<Limit> = {}): Limit => ({ id: 'one', name: 'one', max: 10, windowMs: 60_000, burst: null, clients: 100, hitUnits: 1000, ...settings })

/** A store whose clock the test moves, and which answers within the call. */
function storeAt (now = Date.UTC(2026, 5, 1, 12)) {
  const clock = { now }
  const full: string[] = []
  const store = createMemoryRateLimitStore({ now: () => clock.now, onFull: ({ name }) => { full.push(name) } })
  const take = (...charges: Charge[]): Verdict => {
    let verdict: Verdict | undefined
    store.take(charges, (_error, answer) => { verdict = answer })
    return verdict as Verdict
  }
  return { clock, store, take, full, passes: (limit: Limit, key = 'a', units = 1000) => take({ limit, key, units }).passed }
}

/** A proxy that stands still in time until the test says otherwise, and believes what the test says of its clients. */
async function start (t: Test, route: Record<string, unknown>, more: ProxySettings & { readonly answer?: string, readonly global?: unknown } = {}) {
  const clock = { now: Date.UTC(2026, 5, 1, 12) }
  const origin = await startRawOrigin(t, () => more.answer ?? response('ok', fresh))
  const proxy = await startProxy(t, origin.url, {
    server: { trustedProxies: ['loopback'] },
    route,
    ...more,
    ...(more.global === undefined ? {} : { rateLimit: more.global }),
    holdfast: { now: () => clock.now, ...more.holdfast }
  })
  const ask = (path: string, fields: readonly string[] = []) => talk(proxy.port, get(path, fields))
  const statuses = async (count: number, path: string, fields: readonly string[] = []): Promise<number[]> => {
    const all: number[] = []
    for (let i = 0; i < count; i++) all.push(statusOf(await ask(path, fields)))
    return all
  }
  return { clock, origin, proxy, ask, statuses }
}

t.test('of 1,000 requests at once as many pass as the limit says, whatever counts them', async t => {
  const hundred = { max: 100, window: '1m', fields: 'none' }
  const rows: Array<[title: string, route: Record<string, unknown>, global: unknown, passed: number]> = [
    ['a window', { rateLimit: hundred }, undefined, 100],
    ['a bucket', { rateLimit: { ...hundred, burst: 130 } }, undefined, 130],
    ['two windows', { rateLimit: [{ ...hundred, max: 150 }, { ...hundred, max: 120, window: '1h' }] }, undefined, 120],
    ['one over all routes', {}, hundred, 100],
    ['one over all routes and one of the route', { rateLimit: { ...hundred, max: 90 } }, hundred, 90],
    ['one by identity', { rateLimit: { ...hundred, key: 'identity' }, auth: { apiKeys: { keys: [digest('key')] } } }, undefined, 100],
    ['one where hits are free and none is a hit', { rateLimit: { ...hundred, hits: 0 } }, undefined, 100]
  ]
  for (const [title, route, global, passed] of rows) {
    const { origin, ask, proxy } = await start(t, { ...route, cache: { enabled: false } }, { global })

    // One of them over as many sockets; the others need not be slow as well.
    const one = title === 'a window'
      ? async () => statusOf(await ask('/'))
      : async () => (await proxy.app.inject({ url: '/', headers: { host: 'proxy.test', 'x-api-key': 'key' } })).statusCode
    const answers = await Promise.all(Array.from({ length: 1000 }, one))

    t.equal(answers.filter(status => status === 200).length, passed, title)
    t.equal(answers.filter(status => status === 429).length, 1000 - passed, title)
    t.equal(origin.requests.length, passed, `${title}: at the origin server`)
  }
})

t.test('a limit by window: max in it, then none until it is over', async t => {
  const { clock, passes } = storeAt()
  const limit = limitOf({ max: 3 })

  t.same(Array.from({ length: 5 }, () => passes(limit)), [true, true, true, false, false])
  clock.now += 59_999
  t.notOk(passes(limit))
  t.ok(passes(limit, 'b'), 'another client has its own')
  clock.now += 1
  t.same(Array.from({ length: 4 }, () => passes(limit)), [true, true, true, false])
  clock.now -= 3_600_000
  t.ok(passes(limit), 'a clock that was put back keeps nobody out')
})

t.test('a limit with burst: so many at once, and max more evenly in each window', async t => {
  const { clock, passes, take } = storeAt()
  // One comes back in each 100 ms.
  const limit = limitOf({ max: 10, windowMs: 1000, burst: 5 })

  t.same(Array.from({ length: 6 }, () => passes(limit)), [true, true, true, true, true, false])
  t.equal(take({ limit, key: 'a', units: 1000 }).waitMs, 100)
  clock.now += 99
  t.notOk(passes(limit))
  clock.now += 1
  t.same([passes(limit), passes(limit)], [true, false])
  clock.now += 60_000
  t.same(Array.from({ length: 6 }, () => passes(limit)), [true, true, true, true, true, false], 'never more than burst at once')

  // Nothing is lost by rounding, however often it is looked at: 25 s of a hundredth of a request each millisecond.
  const slow = limitOf({ id: 'slow', max: 7, windowMs: 700, burst: 1 })
  let passed = 0
  for (let i = 0; i < 25_000; i++) {
    clock.now++
    if (passes(slow)) passed++
  }
  t.equal(passed, 250)
  clock.now -= 3_600_000
  passes(slow)
  clock.now += 100
  t.ok(passes(slow), 'a clock that was put back holds up nobody for longer than usual')
})

t.test('what is used and how long to wait, as numbers', async t => {
  const window = limitOf({ max: 2, windowMs: 1000 })
  const bucket = limitOf({ max: 2, windowMs: 1000, burst: 3 })
  const rows: Array<[title: string, actual: number, expected: number]> = [
    ['within the window', usedAt(window, 5000, 1500, 5999), 1500],
    ['after the window', usedAt(window, 5000, 1500, 6000), 0],
    ['a bucket drains', usedAt(bucket, 10_000, 1500, 5500), 500],
    ['and is never less than empty', usedAt(bucket, 10_000, 1500, 9000), 0],
    ['the rest of the window', waitFor(window, { at: 5000, used: 2000 }, 1000, 5400), 600],
    ['until a bucket has room', waitFor(bucket, { at: 10_000, used: 2500 }, 1000, 5000), 250],
    ['no more than remains within the rest of the window', effectiveWindow(window, { at: 5000, used: 1000 }, 5400), 600],
    ['no more than remains until a bucket has room for one', effectiveWindow(bucket, { at: 0, used: 2500 }, 0), 250],
    ['a bucket with room for one, until there is for two', effectiveWindow(bucket, { at: 0, used: 1600 }, 0), 300]
  ]
  for (const [title, actual, expected] of rows) t.equal(actual, expected, title)
})

t.test('a million addresses neither make the table grow nor wash out who is over the limit', async t => {
  const { store, passes, full } = storeAt()
  const limit = limitOf({ max: 5, clients: 1000 })
  const blocked = Array.from({ length: 400 }, (_, i) => `blocked-${i}`)
  const busy = Array.from({ length: 100 }, (_, i) => `busy-${i}`)
  for (const key of blocked) for (let i = 0; i < 6; i++) passes(limit, key)
  for (const key of busy) for (let i = 0; i < 3; i++) passes(limit, key)

  let passed = 0
  for (let i = 0; i < 1_000_000; i++) if (passes(limit, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)) passed++

  t.equal(passed, 1_000_000)
  t.equal(store.sizeOf(limit), 1000)
  t.notOk(blocked.some(key => passes(limit, key)), 'all of them are still refused')
  t.same(busy.map(key => [passes(limit, key), passes(limit, key), passes(limit, key)]), busy.map(() => [true, true, false]), 'those near to it are still as near')
  t.same(full, [])
})

t.test('a place whose time is over is taken before anybody loses a count', async t => {
  const { clock, passes } = storeAt()
  const limit = limitOf({ max: 2, windowMs: 1000, clients: 3 })
  passes(limit, 'old')
  passes(limit, 'old')
  clock.now += 600
  passes(limit, 'b')
  passes(limit, 'c')
  clock.now += 500
  passes(limit, 'new')

  t.same([passes(limit, 'b'), passes(limit, 'b'), passes(limit, 'c'), passes(limit, 'c'), passes(limit, 'new'), passes(limit, 'new')], [true, false, true, false, true, false])
})

t.test('when all who are remembered are over the limit, others pass uncounted and it is told once', async t => {
  const { clock, store, passes, full } = storeAt()
  const limit = limitOf({ max: 1, clients: 3 })
  for (const key of ['a', 'b', 'c']) passes(limit, key)

  t.same([passes(limit, 'd'), passes(limit, 'd'), passes(limit, 'e')], [true, true, true])
  t.same([passes(limit, 'a'), passes(limit, 'b'), passes(limit, 'c')], [false, false, false])
  t.equal(store.sizeOf(limit), 3)
  t.same(full, ['one'])
  clock.now += 60_000
  t.same([passes(limit, 'd'), passes(limit, 'd')], [true, false], 'until their time is over')

  const bucket = limitOf({ id: 'bucket', max: 1, windowMs: 1000, burst: 2, clients: 1 })
  for (const key of ['a', 'a', 'b']) passes(bucket, key)
  t.equal(full.length, 2)
  clock.now += 1000
  t.same([passes(bucket, 'b'), passes(bucket, 'b'), passes(bucket, 'b')], [true, true, false], 'one that has drained in part may go')
})

t.test('a request that one limit refuses is not counted by the others', async t => {
  const { clock, ask, statuses } = await start(t, { cache: { enabled: false }, rateLimit: [{ name: 'second', max: 2, window: '1s' }, { name: 'minute', max: 5, window: '1m' }] })

  t.same(await statuses(4, '/'), [200, 200, 429, 429])
  clock.now += 1000
  t.equal(fieldOf(await ask('/'), 'ratelimit'), '"second";r=1;t=1, "minute";r=2;t=59')
  clock.now += 1000
  t.same(await statuses(3, '/'), [200, 200, 429])
  const refused = await ask('/')
  t.equal(fieldOf(refused, 'retry-after'), '58', 'until both would let it pass')
  t.equal(fieldOf(refused, 'ratelimit'), '"second";r=0;t=1, "minute";r=0;t=58')
})

t.test('a refusal by identity takes back what the address was charged; a wrong credential does not', async t => {
  const { ask, statuses } = await start(t, {
    cache: { enabled: false },
    auth: { apiKeys: { keys: [digest('key')] } },
    rateLimit: [{ name: 'who', key: 'identity', max: 2 }, { name: 'where', max: 5 }]
  })

  t.same(await statuses(6, '/', ['X-Api-Key: key']), [200, 200, 429, 429, 429, 429])
  t.equal(fieldOf(await ask('/', ['X-Api-Key: wrong']), 'ratelimit'), '"where";r=2;t=60')
  t.same(await statuses(3, '/', ['X-Api-Key: wrong']), [401, 401, 429], 'guesses are counted before they are looked at')
})

t.test('clients are told apart by address, field, cookie or function, and by address where they leave it out', async t => {
  const rows: Array<[title: string, key: unknown, requests: ReadonlyArray<readonly string[]>, expected: number[]]> = [
    ['address', 'address', [from('192.0.2.1'), from('192.0.2.2'), from('192.0.2.1')], [200, 200, 429]],
    ['the /64 of an address', 'address', [from('2001:db8:0:1::1'), from('2001:0DB8:0:01:2::2'), from('2001:db8:0:2::1')], [200, 429, 200]],
    ['an address of IPv4 in either spelling', 'address', [from('192.0.2.1'), from('::ffff:192.0.2.1')], [200, 429]],
    ['a field', { field: 'X-Team' }, [['x-team: a'], ['x-team: b'], ['x-team: a'], from('192.0.2.1', 'x-team: a')], [200, 200, 429, 429]],
    ['a field left out or empty', { field: 'x-team' }, [from('192.0.2.1'), from('192.0.2.1', 'x-team: '), from('192.0.2.2')], [200, 429, 200]],
    ['a field that says an address', { field: 'x-team' }, [from('192.0.2.1'), from('192.0.2.2', 'x-team: 192.0.2.1')], [200, 200]],
    ['a long field', { field: 'x-team' }, [[`x-team: ${'a'.repeat(5000)}`], [`x-team: ${'a'.repeat(5000)}`], [`x-team: ${'a'.repeat(5001)}`]], [200, 429, 200]],
    ['a cookie', { cookie: 'sid' }, [['Cookie: x=1; sid=a'], ['Cookie: sid="a"; y=2'], ['Cookie: sid=b']], [200, 429, 200]],
    ['a cookie left out', { cookie: 'sid' }, [from('192.0.2.1', 'Cookie: xsid=a'), from('192.0.2.1', 'Cookie: sid=')], [200, 429]],
    ['a function', 'custom', [['x-a: 1'], ['x-a: 1'], ['x-a: 2']], [200, 429, 200]],
    ['a function that fails', 'custom', [from('192.0.2.1', 'x-a: throw'), from('192.0.2.1', 'x-a: throw'), from('192.0.2.2', 'x-a: throw')], [200, 429, 200]],
    ['a function that gives no text', 'custom', [from('192.0.2.1'), from('192.0.2.1')], [200, 429]]
  ]
  for (const [title, key, requests, expected] of rows) {
    const { ask } = await start(t, { rateLimit: { max: 1, key } }, {
      holdfast: {
        rateLimitKey: ({ headers }) => {
          if (headers['x-a'] === 'throw') throw new Error('no key')
          return headers['x-a'] as string
        }
      }
    })
    const actual: number[] = []
    for (const fields of requests) actual.push(statusOf(await ask('/', fields)))
    t.same(actual, expected, title)
  }
})

t.test('cookies as browsers send them', async t => {
  t.equal(cookieValue('a=1; b=2', 'b'), '2')
  t.equal(cookieValue('a=b=c', 'a'), 'b=c')
  t.equal(cookieValue('ab=1; a ="x"; a=2', 'a'), 'x')
  for (const field of [undefined, '', 'a', 'a=', 'ba=1', '__proto__=1']) t.equal(cookieValue(field, 'a'), null)
})

t.test('addresses on the list are not counted, and those on no list are', async t => {
  const { ask, statuses } = await start(t, { rateLimit: [{ max: 1, allow: ['192.0.2.0/24', '2001:db8::/32'] }, { name: 'all', max: 3 }] })

  t.same(await statuses(4, '/', from('192.0.2.9')), [200, 200, 200, 429])
  t.same(await statuses(2, '/', from('2001:db8::1')), [200, 200])
  t.same(await statuses(2, '/', from('198.51.100.1')), [200, 429])
  t.equal(fieldOf(await ask('/', from('192.0.2.8')), 'ratelimit'), '"all";r=2;t=60', 'told of those that count')
})

t.test('what the cache answers costs what hits say, exactly', async t => {
  const { ask, statuses } = await start(t, { rateLimit: { max: 3, hits: 0.1 } })

  t.equal(fieldOf(await ask('/a'), 'ratelimit'), '"3-per-1m";r=2;t=60')
  t.same(await statuses(10, '/a'), Array(10).fill(200), 'ten hits for the price of one request')
  t.equal(fieldOf(await ask('/b'), 'ratelimit'), '"3-per-1m";r=0;t=60')
  t.equal(statusOf(await ask('/c')), 429)
  t.equal(statusOf(await ask('/a')), 429, 'there is nothing left for a hit either')
})

t.test('hits that are free are free for ever, also at once and for who is over the limit', async t => {
  const { clock, origin, ask, statuses } = await start(t, { rateLimit: { max: 2, hits: 0 } })

  t.same(await statuses(2, '/a'), [200, 200])
  const hits = await Promise.all(Array.from({ length: 200 }, () => ask('/a')))
  t.same(hits.map(statusOf), Array(200).fill(200))
  t.equal(fieldOf(await ask('/a'), 'ratelimit'), '"2-per-1m";r=1;t=60')
  t.same(await statuses(2, '/b'), [200, 200])
  const refused = await ask('/c')
  t.equal(statusOf(refused), 429)
  t.match(refused, /\r\nretry-after: 60\r\n/i)
  t.match(refused, '"code":"rate_limited"')
  t.match(await ask('/a'), /^HTTP\/1\.1 200 [^]*; hit/)
  t.equal(origin.requests.length, 2, 'what was refused was not asked for')
  clock.now += 60_000
  t.equal(statusOf(await ask('/c')), 200)
})

t.test('who is over the limit gets no hits where another limit says no, or where hits wait for authentication', async t => {
  const both = await start(t, { rateLimit: [{ name: 'origin', max: 5, hits: 0 }, { name: 'all', max: 3 }] })
  t.same(await both.statuses(4, '/a'), [200, 200, 200, 429])

  const secret = await start(t, { auth: { apiKeys: { keys: [digest('key')] } }, rateLimit: { max: 2, hits: 0 } }, { answer: response('ok', ['Cache-Control: public, max-age=60']) })
  t.same(await secret.statuses(5, '/a', ['X-Api-Key: key']), Array(5).fill(200))
  t.same(await secret.statuses(2, '/a', ['X-Api-Key: wrong']), [401, 429])
  t.equal(statusOf(await secret.ask('/a', ['X-Api-Key: key'])), 429)
})

t.test('what is given back is as if it had never been taken, and nothing more', async t => {
  const { clock, store, take, passes } = storeAt()
  const window = limitOf({ max: 2, windowMs: 1000 })
  const charge = { limit: window, key: 'a', units: 1000 }

  const first = take(charge)
  store.giveBack(charge, first.counters[0] as never, 1000)
  t.same([passes(window), passes(window), passes(window)], [true, true, false])

  clock.now += 1000
  const late = take(charge)
  clock.now += 1000
  t.same([passes(window), passes(window)], [true, true])
  store.giveBack(charge, late.counters[0] as never, 1000)
  t.notOk(passes(window), 'of an earlier window')

  const bucket = limitOf({ id: 'bucket', max: 10, windowMs: 1000, burst: 2 })
  const other = { limit: bucket, key: 'a', units: 1000 }
  const drained = take(other)
  clock.now += 75
  passes(bucket)
  store.giveBack(other, drained.counters[0] as never, 1000)
  t.same([passes(bucket), passes(bucket)], [true, false], 'of a bucket only what has not drained')
})

t.test('fields say what is left, in the form that is asked for', async t => {
  const limits = (fields: string) => ({ rateLimit: [{ name: 'minute', max: 5, fields }, { name: 'bursts', max: 2, window: '1500ms', burst: 4, fields }] })
  const draft = await (await start(t, limits('draft'))).ask('/')
  const sixth = await (await start(t, limits('draft-06'))).ask('/')
  const legacy = await (await start(t, limits('legacy'))).ask('/')
  const silent = await start(t, { rateLimit: { max: 1, fields: 'none' } })

  t.equal(fieldOf(draft, 'ratelimit-policy'), '"minute";q=5;w=60, "bursts";q=2;w=2;holdfast-burst=4')
  t.equal(fieldOf(draft, 'ratelimit'), '"minute";r=4;t=60, "bursts";r=3;t=1')
  t.same(['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'].map(name => fieldOf(sixth, name)), ['2', '3', '1'], 'of the one of which least is left')
  t.same(['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'].map(name => fieldOf(legacy, name)), ['2', '3', '1'])
  for (const answer of [await silent.ask('/'), await silent.ask('/')]) t.same([...rateFieldNames].filter(name => fieldOf(answer, name) !== undefined), [])
  t.equal(fieldOf(await silent.ask('/'), 'retry-after'), '60')
})

t.test('each response has the fields of its own request: they are not stored, nor are those of the origin server', async t => {
  const theirs = ['RateLimit: "origin";r=7;t=3', 'RateLimit-Policy: "origin";q=9;w=3', 'X-RateLimit-Remaining: 7', 'X-Kept: 1']
  const answer = response('ok', [...fresh, ...theirs])
  const { ask, origin } = await start(t, { rateLimit: { name: 'ours', max: 9 } }, { answer })

  t.equal(fieldOf(await ask('/', from('192.0.2.1')), 'ratelimit'), '"ours";r=8;t=60')
  t.equal(fieldOf(await ask('/', from('192.0.2.1')), 'ratelimit'), '"ours";r=7;t=60')
  const other = await ask('/', from('192.0.2.2'))
  t.match(other, /; hit/)
  t.equal(fieldOf(other, 'ratelimit'), '"ours";r=8;t=60')
  t.equal(fieldOf(other, 'x-kept'), '1')
  t.notMatch(other, /origin|x-ratelimit/i)
  t.equal(origin.requests.length, 1)

  const unlimited = await start(t, {}, { answer })
  t.equal(fieldOf(await unlimited.ask('/'), 'ratelimit'), '"origin";r=7;t=3', 'without limits of ours they pass like any other')
})

t.test('a limit over all routes counts them together, and those of a route by itself', async t => {
  const routes = ['a', 'b'].map(name => ({ name, upstream: 'default', match: { path: `/${name}/*` }, cache: { enabled: false }, rateLimit: { name, max: 3 } }))
  const { ask, statuses } = await start(t, {}, { routes, global: { max: 4 } })

  t.same(await statuses(3, '/a/'), [200, 200, 200])
  t.equal(fieldOf(await ask('/b/'), 'ratelimit'), '"all-4-per-1m";r=0;t=60, "b";r=2;t=60')
  t.same(await statuses(2, '/b/'), [429, 429])
})

t.test('a reload keeps the counters of limits that did not change', async t => {
  const { proxy, ask, statuses } = await start(t, { rateLimit: { max: 2 } }, { global: { max: 100 } })
  t.same(await statuses(3, '/'), [200, 200, 429])
  const { config } = proxy.control
  const route = config.routes[0] as typeof config.routes[number]

  await proxy.control.reload({ ...config, routes: [{ ...route, access: { allow: [], deny: ['192.0.2.0/24'] } }] })
  t.equal(statusOf(await ask('/')), 429)
  const { changed } = await proxy.control.reload({ ...config, rateLimit: undefined as never, routes: [{ ...route, rateLimit: { ...route.rateLimit as object, max: 3 } as never }] })
  t.same(changed, ['routes/default', 'rateLimit'])
  t.same(await statuses(4, '/'), [200, 200, 200, 429])
})

t.test('a store of another kind may answer later, or fail, which counts nothing', async t => {
  const memory = storeAt().store
  const rows: Array<[title: string, take: RateLimitStore['take'], expected: number[]]> = [
    ['later', (charges, done) => { setImmediate(() => { memory.take(charges, done) }) }, [200, 429]],
    ['an error', (_charges, done) => { done(new Error('away')) }, [200, 200]],
    ['an error later', (_charges, done) => { setImmediate(() => { done(new Error('away')) }) }, [200, 200]],
    ['an exception', () => { throw new Error('broken') }, [200, 200]],
    ['no verdict', (_charges, done) => { done(null) }, [200, 200]],
    ['twice', (_charges, done) => { done(new Error('away')); done(null, { passed: false, waitMs: 1, counters: [] }) }, [200, 200]],
    ['twice later', (_charges, done) => { setImmediate(() => { done(new Error('away')); done(null, { passed: false, waitMs: 1, counters: [] }) }) }, [200, 200]]
  ]
  for (const [title, take, expected] of rows) {
    const { statuses } = await start(t, { rateLimit: { max: 1 } }, { holdfast: { rateLimitStore: { take, giveBack: memory.giveBack } } })
    t.same(await statuses(2, '/'), expected, title)
  }
})

t.test('what a limit cannot be is told', async t => {
  const told = (rateLimit: unknown, more: object = {}): string[] => {
    try {
      resolveConfig({ upstreams: { main: { targets: ['http://a'] } }, routes: [{ name: 'all', upstream: 'main', rateLimit, ...more }] })
      return []
    } catch (error) {
      return (error as ConfigError).problems.map(({ path, rule }) => `${path} ${rule}`)
    }
  }
  const rows: Array<[unknown, string[]]> = [
    [{}, []],
    [[{ max: 1 }, { max: 2, key: { cookie: 'a' } }, { max: 2, key: { field: 'a' } }], []],
    [[], ['/routes/0/rateLimit min-items']],
    [{ key: 'ip' }, ['/routes/0/rateLimit/key pattern']],
    [{ key: {} }, ['/routes/0/rateLimit/key one-key']],
    [[{ max: 2 }, { key: { field: 'a', cookie: 'b' } }], ['/routes/0/rateLimit/1/key one-key']],
    [{ key: 'identity' }, ['/routes/0/rateLimit/key identity-known']],
    [{ allow: ['10.0.0.0/33'] }, ['/routes/0/rateLimit/allow/0 address']],
    [[{ max: 1 }, { max: 1 }], ['/routes/0/rateLimit/1 unique-limit']],
    [[{ name: 'a' }, { max: 1, name: 'a' }], ['/routes/0/rateLimit/1 unique-limit']],
    [{ hits: 2 }, ['/routes/0/rateLimit/hits maximum']],
    [{ burst: 0 }, ['/routes/0/rateLimit/burst minimum']],
    [{ fields: 'x' }, ['/routes/0/rateLimit/fields enum']]
  ]
  for (const [rateLimit, expected] of rows) t.same(told(rateLimit), expected, JSON.stringify(rateLimit))
  t.same(told({ key: 'identity' }, { auth: { bearer: { tokens: [digest('a')] } } }), [])
  t.throws(() => resolveConfig({ rateLimit: { allow: ['x'] }, upstreams: { main: { targets: ['http://a'] } }, routes: [{ name: 'all', upstream: 'main' }] }), /\/rateLimit\/allow\/0/)
  await t.rejects(start(t, { rateLimit: { key: 'custom' } }), /rateLimitKey/)
})

t.test('limits as configured and as counted: prices in whole units, ids that tell limits apart', async t => {
  const { routes } = resolveConfig({ upstreams: { main: { targets: ['http://a'] } }, routes: [{ name: 'all', upstream: 'main', rateLimit: [{ hits: 0.3 }, { max: 1, burst: 2 }] }] })
  const [first, second] = readyLimits(routes[0]?.rateLimit, 'x')
  const [again] = readyLimits(routes[0]?.rateLimit, 'y')

  t.equal(first?.limit.hitUnits, 300)
  t.equal(new Set([first?.limit.id, second?.limit.id, again?.limit.id]).size, 3)
})
