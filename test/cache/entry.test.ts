/** What many stored responses share is what each was stored with. */
import t from 'tap'
import { createEntry, createHead } from '../../src/cache/entry.ts'
import { selectingFields, varyNames, type VaryMode } from '../../src/cache/vary.ts'
import { parseCacheControl } from '../../src/http/cache-control.ts'
import type { FieldMap } from '../../src/http/fields.ts'

const receivedAt = Date.UTC(2026, 5, 1, 12)

function store (i: number, statusCode: number, fields: FieldMap, requestFields: FieldMap, varyMode: VaryMode, scope: string) {
  const vary = varyNames(fields)
  if (vary === '*') throw new Error('a list is needed')
  const head = createHead({ statusCode, fields, control: parseCacheControl(fields), vary, varyMode, requestFields, requestedAt: receivedAt, receivedAt, freshnessLifetime: 60, override: null, stripSetCookie: false, consumed: [] })
  const expected = { statusCode, scope, control: parseCacheControl(fields), selecting: selectingFields(requestFields, vary, varyMode) }
  return { entry: createEntry({ key: `k${i}`, uri: `k${i}`, scope, groups: [], tags: [], moment: 0 }, head, Buffer.from('content')), expected }
}

t.test('responses of many kinds, stored by turns, keep status, directives, scope and what selects them', async t => {
  const stored = []
  const encodings = ['gzip', 'br', ' GZIP , br;q=0.5', 'identity', undefined, 'gzip, br']
  const modes: readonly VaryMode[] = ['exact', 'normalise', 'meaning']
  let seed = 1
  const pick = (below: number): number => {
    seed = seed * 48271 % 2147483647
    return seed % below
  }
  for (let i = 0; i < 3000; i++) {
    const encoding = encodings[pick(encodings.length)]
    stored.push(store(
      i,
      [200, 203, 404, 410][pick(4)] as number,
      { 'cache-control': `max-age=${pick(300)}`, date: 'Mon, 01 Jun 2026 12:00:00 GMT', vary: ['Accept-Encoding', 'accept-encoding, Accept-Language', 'X-None'][pick(3)] },
      { 'accept-language': `l${pick(4)}`, ...encoding !== undefined && { 'accept-encoding': encoding } },
      modes[pick(3)] as VaryMode,
      `route${pick(3)}`
    ))
  }
  const wrong = stored.filter(({ entry, expected }) => {
    const { statusCode, scope, control, selecting } = entry
    return JSON.stringify({ statusCode, scope, control, selecting }) !== JSON.stringify(expected)
  })
  t.equal(stored.length, 3000)
  t.equal(wrong.length, 0)
})
