/** Names in Vary and the matching of request fields (RFC 9111 4.1). */
import fc from 'fast-check'
import t from 'tap'
import { Presented, selectingFields, selects, suitsByMeaning, varyNames, type VaryMode } from '../../src/cache/vary.ts'
import type { FieldMap } from '../../src/http/fields.ts'

const modes: readonly VaryMode[] = ['exact', 'normalise', 'meaning']
const matches = (first: FieldMap, second: FieldMap, names: readonly string[], mode: VaryMode): boolean => selects(second, selectingFields(first, names, mode), mode)

t.test('the names in Vary, each once, sorted', t => {
  for (const [value, expected] of [
    [undefined, []], ['', []], ['A', ['a']], ['B, a', ['a', 'b']], ['a,A , a', ['a']], [',, ,a,', ['a']], [['a', 'b'], ['a', 'b']], [['a', ''], ['a']], ['*', '*'], ['a, *', '*'], [['a', '*'], '*'], ['a b', '*'], ['a;b', '*'], ['"a"', '*'],
    ['__proto__', '*'], ['constructor', ['constructor']], [Array.from({ length: 65 }, (_, i) => `x${i}`).join(), '*'], [Array.from({ length: 64 }, (_, i) => `x${i}`).join().toUpperCase(), Array.from({ length: 64 }, (_, i) => `x${i}`).sort()]
  ] as const) t.strictSame(varyNames(value === undefined ? {} : { vary: value }), expected, JSON.stringify(value))
  t.end()
})

const value = fc.oneof(fc.string(), fc.stringMatching(/^[a-c ,;=q01."*-]{0,20}$/), fc.constantFrom('gzip, br', 'br;q=0.5, gzip', 'de, en', 'en', ''))
const name = fc.constantFrom('accept', 'accept-language', 'accept-encoding', 'accept-charset', 'cookie', 'x')

t.test('a request matches itself, and matching has no direction, in each mode', t => {
  fc.assert(fc.property(name, fc.option(value, { nil: undefined }), fc.option(value, { nil: undefined }), fc.constantFrom(...modes), (name, a, b, mode) => {
    const [first, second] = [{ [name]: a }, { [name]: b }]
    return matches(first, first, [name], mode) && matches(first, second, [name], mode) === matches(second, first, [name], mode)
  }), { numRuns: 5000 })
  t.end()
})

t.test('property: compared with many, a request selects those that it selects one by one', t => {
  const fields = fc.dictionary(name, value, { maxKeys: 4 })
  fc.assert(fc.property(fields, fc.array(fc.tuple(fields, fc.uniqueArray(name)), { maxLength: 12 }), fc.constantFrom(...modes), (request, stored, mode) => {
    const presented = new Presented(request, mode)
    return stored.every(([fields, names]) => {
      const [same, other] = [selectingFields(request, names, mode), selectingFields(fields, names, mode)]
      return presented.selects(same) && presented.selects(other) === selects(request, other, mode)
    })
  }), { numRuns: 3000 })
  t.end()
})

t.test('absent matches absent and nothing else, in each mode', t => {
  fc.assert(fc.property(name, value, fc.constantFrom(...modes), (name, a, mode) => !matches({ [name]: a }, {}, [name], mode) && !matches({}, { [name]: a }, [name], mode) && matches({}, {}, [name], mode)), { numRuns: 2000 })
  t.end()
})

t.test('what matches exactly matches in the wider modes as well', t => {
  fc.assert(fc.property(name, value, value, (name, a, b) => {
    const [exact, normalised, meant] = modes.map(mode => matches({ [name]: a }, { [name]: b }, [name], mode))
    return (exact !== true || normalised === true) && (normalised !== true || meant === true)
  }), { numRuns: 5000 })
  t.end()
})

t.test('a field that states no preferences is compared octet by octet but for white space around commas', t => {
  fc.assert(fc.property(value, value, fc.constantFrom(...modes), (a, b, mode) => {
    const members = (text: string): string => text.split(',').map(member => member.trim()).filter(member => member !== '').join()
    const quoted = a.includes('"') || b.includes('"')
    return matches({ cookie: a }, { cookie: b }, ['cookie'], mode) ? quoted ? a.trim() === b.trim() || members(a) === members(b) : members(a) === members(b) : a !== b
  }), { numRuns: 5000 })
  t.end()
})

t.test('lines of a field and their combination match (RFC 9110 5.3)', t => {
  fc.assert(fc.property(fc.array(fc.stringMatching(/^[a-z0-9 =;]{1,5}$/), { minLength: 2, maxLength: 4 }), fc.constantFrom(...modes), (lines, mode) => matches({ x: lines }, { x: lines.join(',') }, ['x'], mode)))
  t.end()
})

t.test('the prototype of a request is no field of it', t => {
  for (const name of ['constructor', 'toString', 'hasOwnProperty']) {
    t.equal(matches({}, Object.create(null) as FieldMap, [name], 'exact'), true)
    t.equal(matches({}, { [name]: 'x' }, [name], 'exact'), false)
  }
  t.end()
})

t.test('by meaning nothing fits that differs in a field of which the stored response says nothing', t => {
  fc.assert(fc.property(fc.array(fc.tuple(name, value), { maxLength: 4 }), fc.array(fc.tuple(name, value), { maxLength: 4 }), fc.dictionary(fc.constantFrom('content-language', 'content-encoding'), fc.constantFrom('gzip', 'br', 'de', 'en', 'a')), (first, second, stored) => {
    const [stored1, presented] = [Object.fromEntries(first) as FieldMap, Object.fromEntries(second) as FieldMap]
    const names = [...new Set([...Object.keys(stored1), ...Object.keys(presented)])].sort()
    if (!suitsByMeaning(presented, selectingFields(stored1, names, 'meaning'), stored)) return true
    const differing = names.filter(name => !matches(stored1, presented, [name], 'meaning'))
    return differing.length > 0 && differing.every(name => (name === 'accept-language' && stored['content-language'] !== undefined) || (name === 'accept-encoding' && stored['content-encoding'] !== undefined))
  }), { numRuns: 5000 })
  t.end()
})
