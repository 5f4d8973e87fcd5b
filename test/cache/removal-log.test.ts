/** The order of removals: what was under way before one must not come back after it, and forgetting is safe. */
import fc from 'fast-check'
import t from 'tap'
import { createRemovalLog } from '../../src/cache/removal-log.ts'
import { shortKey } from '../../src/cache/short-key.ts'

t.test('a key counts as removed for moments before its removal only', async t => {
  const log = createRemovalLog({ count: 0 })
  const before = log.moment()
  log.note('a')
  const after = log.moment()
  t.equal(log.happenedSince('a', before), true)
  t.equal(log.happenedSince('a', after), false)
  t.equal(log.happenedSince('b', before), false)
  log.note('a')
  t.equal(log.happenedSince('a', after), true, 'again')
  const last = log.moment()
  log.noteAll()
  t.equal(log.happenedSince('b', last), true, 'all at once')
  t.equal(log.happenedSince('b', log.moment()), false)
})

t.test('long keys are told apart, and cost no more than short ones', async t => {
  const log = createRemovalLog({ count: 0 })
  const moment = log.moment()
  const long = 'x'.repeat(10_000)
  log.note(`${long}1`)
  t.equal(log.happenedSince(`${long}1`, moment), true)
  t.equal(log.happenedSince(`${long}2`, moment), false)
  t.equal(shortKey('a'.repeat(256)), 'a'.repeat(256))
  t.equal(shortKey(long).length, 32)
})

t.test('two logs over one clock have one order', async t => {
  const clock = { count: 0 }
  const [one, other] = [createRemovalLog(clock), createRemovalLog(clock)]
  one.note('a')
  const moment = other.moment()
  other.note('a')
  t.equal(one.happenedSince('a', moment), false)
  t.equal(other.happenedSince('a', moment), true)
})

t.test('removals too old to be remembered count for every key: forgetting costs a stored response, never correctness', async t => {
  const log = createRemovalLog({ count: 0 })
  const before = log.moment()
  for (let i = 0; i < 10_000; i++) log.note(`k${i}`)
  t.equal(log.happenedSince('never', before), false)
  log.note('one more')
  t.equal(log.happenedSince('k0', before), true, 'forgotten, still known')
  t.equal(log.happenedSince('never', before), true, 'not told apart any more')
  t.equal(log.happenedSince('never', log.moment() - 1), false)
})

t.test('property: a removal is never missed', async t => {
  const step = fc.oneof(fc.record({ note: fc.constantFrom('a', 'b', 'c') }), fc.record({ all: fc.constant(true) }), fc.record({ look: fc.constant(true) }))
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), steps => {
    const log = createRemovalLog({ count: 0 })
    const moments: Array<{ moment: number, removed: Set<string> }> = []
    for (const each of steps) {
      if ('look' in each) moments.push({ moment: log.moment(), removed: new Set() })
      else if ('note' in each) log.note(each.note)
      else log.noteAll()
      for (const { removed } of moments) {
        if ('note' in each) removed.add(each.note)
        else if ('all' in each) for (const key of ['a', 'b', 'c']) removed.add(key)
      }
    }
    return moments.every(({ moment, removed }) => ['a', 'b', 'c'].every(key => log.happenedSince(key, moment) === removed.has(key)))
  }))
  t.pass()
})
