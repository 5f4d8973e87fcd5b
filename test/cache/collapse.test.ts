/** Flights: who travels, who waits, and what those who wait are told. */
import fc from 'fast-check'
import t from 'tap'
import { createFlights, type Landing } from '../../src/cache/collapse.ts'

const always = (): boolean => true
const alone: Landing = { kind: 'alone' }
const streaming = { kind: 'response', response: {} } as unknown as Landing

t.test('those who wait are told once, in their order, and nobody can join after', async t => {
  const flights = createFlights()
  t.equal(flights.find('k'), null)
  const flight = flights.lead('k', always)
  t.equal(flights.find('k'), flight)
  const told: string[] = []
  flight.join(landing => { told.push(`1 ${landing.kind}`) })
  flight.join(landing => { told.push(`2 ${landing.kind}`) })
  t.equal(flight.waiting, 2)

  flight.land(alone)

  t.same(told, ['1 alone', '2 alone'])
  t.equal(flight.waiting, 0)
  t.equal(flights.find('k'), null)
  flight.join(landing => { told.push(`late ${landing.kind}`) })
  t.equal(told.at(-1), 'late alone', 'who held on to it is told at once')
})

t.test('a response that streams is joined until it ends', async t => {
  const flights = createFlights()
  const flight = flights.lead('k', always)
  flight.land(streaming)
  let told: Landing | null = null
  flights.find('k')?.join(landing => { told = landing })
  t.equal(told, streaming)
  flight.end()
  t.equal(flights.find('k'), null)
})

t.test('who leaves is not told, and the one that travels learns of it', async t => {
  const flights = createFlights()
  const flight = flights.lead('k', always)
  let told = 0
  let left = 0
  flight.onLeft = () => { left++ }
  const waiter = (): void => { told++ }
  flight.join(waiter)
  flight.leave(waiter)
  flight.leave(waiter)
  flight.land(alone)
  t.equal(told, 0)
  t.equal(left, 1)
})

t.test('one that is told may join or lead anew within its call', async t => {
  const flights = createFlights()
  const flight = flights.lead('k', always)
  let next = null
  flight.join(() => { next = flights.find('k') ?? flights.lead('k', always) })
  flight.land(alone)
  t.equal(flights.find('k'), next)
  flight.end()
  t.equal(flights.find('k'), next, 'the end of the first is not the end of the second')
})

t.test('what was invalidated is not joined any more (RFC 9111 4.4)', async t => {
  const flights = createFlights()
  let current = true
  const flight = flights.lead('k', () => current)
  let told = 0
  flight.join(() => { told++ })
  current = false
  t.equal(flights.find('k'), null)
  const second = flights.lead('k', always)
  flight.land(streaming)
  t.equal(told, 1, 'who asked before may have it')
  flight.end()
  t.equal(flights.find('k'), second)
})

t.test('keys without hope are remembered for their time, and a bounded number of them', async t => {
  const flights = createFlights()
  t.equal(flights.isHopeless('k', 0), false)
  flights.rememberHopeless('k', 10)
  t.equal(flights.isHopeless('k', 9), true)
  t.equal(flights.isHopeless('k', 10), false)
  flights.rememberHopeless('k', 10)
  flights.forgetHopeless('k')
  t.equal(flights.isHopeless('k', 0), false)
  for (let i = 0; i <= 10_000; i++) flights.rememberHopeless(`k${i}`, 10)
  t.equal(flights.isHopeless('k0', 0), false, 'the oldest goes first')
  t.equal(flights.isHopeless('k1', 0), true)
  flights.rememberTooSlow('k', '192.0.2.1', 10)
  t.same([flights.wasTooSlow('k', '192.0.2.1', 9), flights.wasTooSlow('k', '192.0.2.2', 9), flights.wasTooSlow('l', '192.0.2.1', 9), flights.wasTooSlow('k', '192.0.2.1', 10)], [true, false, false, false])
})

t.test('property: each waiter is told exactly once unless it left, whatever happens in which order', async t => {
  const step = fc.oneof(fc.constant('join'), fc.constant('leave'), fc.constantFrom('response', 'alone', 'failed', 'validated'), fc.constant('end'))
  fc.assert(fc.property(fc.array(step, { maxLength: 20 }), steps => {
    const flight = createFlights().lead('k', always)
    const waiters: Array<{ told: number, left: boolean, late: boolean, call: () => void }> = []
    let landed = false
    let over = false
    for (const each of steps) {
      if (each === 'join') {
        const waiter = { told: 0, left: false, late: over, call: () => { waiter.told++ } }
        waiters.push(waiter)
        flight.join(waiter.call)
      } else if (each === 'leave') {
        const waiter = waiters.find(({ told, left }) => told === 0 && !left)
        if (waiter !== undefined) {
          waiter.left = true
          flight.leave(waiter.call)
        }
      } else if (each === 'end') {
        flight.end()
        over = true
      } else if (!landed) {
        landed = true
        flight.land({ kind: each } as Landing)
      }
    }
    // Who comes after the end goes on alone.
    return waiters.every(({ told, left, late }) => told === (left || !(landed || late) ? 0 : 1))
  }))
  t.pass()
})
