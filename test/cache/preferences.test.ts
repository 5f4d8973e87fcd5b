/** Fields that state preferences, in one spelling (RFC 9110 12.4.2, 12.5). */
import fc from 'fast-check'
import t from 'tap'
import { accepts, normaliseChoices, preferredChoices } from '../../src/cache/preferences.ts'

t.test('one spelling for what means the same', t => {
  for (const [field, value, ordered, free] of [
    ['accept-encoding', 'gzip, br', 'br,gzip', 'br,gzip'], ['accept-encoding', 'BR ;q=1.000,GZIP;Q=1', 'br,gzip', 'br,gzip'], ['accept-encoding', 'gzip;q=0.5, br', 'br,gzip;q=0.5', 'br,gzip;q=0.5'], ['accept-encoding', 'gzip;q=0', 'gzip;q=0', 'gzip;q=0'], ['accept-encoding', '', '', ''], ['accept-encoding', ' , ', '', ''],
    ['accept-language', 'en, de', 'en,de', 'de,en'], ['accept-language', 'de;q=0.1, en;q=0.10', 'de;q=0.1,en;q=0.1', 'de;q=0.1,en;q=0.1'], ['accept-language', 'en, en', 'en', 'en'],
    ['accept', 'text/html;level=1;q=0.5, */*', '*/*,text/html;level=1;q=0.5', '*/*,text/html;level=1;q=0.5'],
    // What cannot be understood is compared as it is written.
    ['accept', 'a/b;x="1"', null, null], ['accept', 'a/b;q=0.5;x=1', null, null], ['accept', 'a/b;q=1.5', null, null], ['accept', 'a/b;q=0.1234', null, null], ['accept', 'a/b;q=', null, null], ['accept', 'a b', null, null], ['accept', 'a/b;', null, null], ['accept', 'q=0.5', null, null], ['accept', ';q=0.5', null, null], ['accept', 'a/b;q=0.5, a/b;q=0.6', null, null],
    ['cookie', 'a, b', null, null], ['accept', Array.from({ length: 65 }, (_, i) => `a/${i}`).join(), null, null]
  ] as const) {
    t.equal(normaliseChoices(field, value, false), ordered, `${field}: ${value}`)
    t.equal(normaliseChoices(field, value, true), free, `${field}: ${value}, in any order`)
    t.equal(normaliseChoices(field, value, true), free, 'and remembered')
  }
  t.end()
})

t.test('what a client likes best, and what it accepts', t => {
  for (const [value, best] of [['de, en;q=0.5', ['de']], ['de;q=0.5, en;q=0.5', ['de', 'en']], ['de;q=0', []], ['', []], ['de;q=2', []], ['EN', ['en']]] as const) t.strictSame(preferredChoices(value), best, value)
  for (const [value, choice, accepted] of [['gzip, br;q=0.1', 'br', true], ['gzip;q=0', 'gzip', false], ['*', 'gzip', false], ['', 'gzip', false], ['GZIP', 'gzip', true], ['gzip;q=x', 'gzip', false]] as const) t.equal(accepts(value, choice), accepted, `${value} | ${choice}`)
  t.end()
})

const choice = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', '*'), fc.integer({ min: 0, max: 1000 })).map(([name, weight]) => ({ name, weight: weight / 1000 }))
const choices = fc.uniqueArray(choice, { selector: ({ name }) => name, minLength: 1, maxLength: 5 })

t.test('the spelling does not depend on letter case, white space, trailing zeros, empty members, or order where that is free', t => {
  fc.assert(fc.property(choices, fc.array(fc.nat(4), { minLength: 5, maxLength: 5 }), fc.boolean(), (choices, order, upper) => {
    const plain = choices.map(({ name, weight }) => `${name};q=${weight}`).join()
    const shuffled = choices.map((choice, i) => ({ choice, at: order[i] as number })).sort((a, b) => a.at - b.at).map(({ choice }) => choice)
    const odd = shuffled.map(({ name, weight }) => ` ${upper ? name.toUpperCase() : name} ; q=${weight.toFixed(3)}`).join(' ,,')
    return normaliseChoices('accept-encoding', plain, false) === normaliseChoices('accept-encoding', odd, false) && normaliseChoices('accept', plain, true) === normaliseChoices('accept', odd, true)
  }), { numRuns: 2000 })
  t.end()
})

t.test('different preferences have different spellings', t => {
  fc.assert(fc.property(choices, choices, (a, b) => {
    const text = (choices: ReadonlyArray<{ name: string, weight: number }>): string => choices.map(({ name, weight }) => `${name};q=${weight}`).join()
    const same = a.length === b.length && a.every(({ name, weight }) => b.some(other => other.name === name && other.weight === weight))
    return (normaliseChoices('accept', text(a), true) === normaliseChoices('accept', text(b), true)) === same
  }), { numRuns: 5000 })
  t.end()
})

t.test('no octets make it throw, and a spelling is its own spelling', t => {
  fc.assert(fc.property(fc.constantFrom('accept', 'accept-language', 'accept-encoding'), fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.stringMatching(/^[ab,;q=.01 ]*$/)), fc.boolean(), (field, value, anyOrder) => {
    preferredChoices(value)
    accepts(value, 'a')
    const spelling = normaliseChoices(field, value, anyOrder)
    return spelling === null || normaliseChoices(field, spelling, anyOrder) === spelling
  }), { numRuns: 5000 })
  t.end()
})
