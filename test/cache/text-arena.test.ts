/** Memory for texts: whatever comes, goes and is moved, each text stays what it was, and memory that nobody uses goes back. */
import fc from 'fast-check'
import t from 'tap'
import { arenaBytes, mostTextBytes, TextArena, workspace } from '../../src/cache/text-arena.ts'

/** A text that differs from that of every other number. */
function textOf (number: number, length: number): string {
  return `${number}.`.repeat(Math.ceil(length / 2)).slice(0, length)
}

function keep (arena: TextArena, text: string): number {
  workspace.write(text, 'latin1')
  return arena.keep(text.length)
}

const length = fc.oneof(fc.nat(600), fc.constantFrom(0, 1, 123, 124, 125, 248, 249, mostTextBytes), fc.nat(mostTextBytes))
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('keep' as const), length }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('free' as const), nth: fc.nat() }) },
  // Many at once, so that blocks are left with little in them.
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fill' as const), length: fc.nat(2000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('thin' as const), every: fc.integer({ min: 2, max: 9 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('vacate' as const), moved: fc.integer({ min: 1, max: 3 }) }) }
)

t.test('property: each text is read as it was kept, whatever else is kept, freed and moved', async () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), steps => {
    const arena = new TextArena(() => {})
    let kept: Array<{ text: string, first: number }> = []
    let number = 0
    const add = (length: number): void => {
      const text = textOf(number++, length)
      kept.push({ text, first: keep(arena, text) })
    }
    for (const step of steps) {
      if (step.do === 'keep') add(step.length)
      else if (step.do === 'fill') for (let i = 0; i < 400; i++) add(step.length)
      else if (step.do === 'free' && kept.length > 0) arena.free(kept.splice(step.nth % kept.length, 1)[0]?.first as number)
      else if (step.do === 'thin') {
        kept.filter((_, i) => i % step.every !== 0).forEach(({ first }) => { arena.free(first) })
        kept = kept.filter((_, i) => i % step.every === 0)
      } else if (step.do === 'vacate') {
        arena.vacate()
        // All of them, or some: others come before the rest is moved.
        kept.forEach((one, i) => { if (i % step.moved === 0) one.first = arena.moved(one.first) })
      }
      if (kept.some(({ text, first }) => arena.read(first, text.length) !== text)) return false
    }
    return true
  }), { numRuns: 100 })
})

t.test('property: a part of a text is read, wherever it begins and ends', async () => {
  const arena = new TextArena(() => {})
  const text = textOf(7, 3000)
  const first = keep(arena, text)
  keep(arena, textOf(8, 3000))
  fc.assert(fc.property(fc.nat(text.length), fc.nat(text.length), (a, b) => arena.slice(first, Math.min(a, b), Math.max(a, b)) === text.slice(Math.min(a, b), Math.max(a, b))))
  fc.assert(fc.property(fc.constantFrom(0, 123, 124, 125, 247, 248, 249, 2999, 3000), fc.nat(130), (from, length) => arena.slice(first, from, Math.min(text.length, from + length)) === text.slice(from, from + length)))
})

t.test('what texts leave is used by others, of whatever length', async t => {
  const arena = new TextArena(() => {})
  const first = Array.from({ length: 1000 }, (_, i) => keep(arena, textOf(i, 1000)))
  const slack = arena.slackBytes
  first.forEach(one => { arena.free(one) })
  const others = Array.from({ length: 8000 }, (_, i) => keep(arena, textOf(i, 100)))
  t.equal(slack, 0)
  t.ok(arena.slackBytes <= 2 ** 18, 'no more than what is free of the block in use')
  t.equal(arena.read(others[77] as number, 100), textOf(77, 100))
})

t.test('blocks without texts go back at once, and those with few when these are moved', async t => {
  const arena = new TextArena(() => {})
  const kept = Array.from({ length: 20_000 }, (_, i) => keep(arena, textOf(i, 1000)))
  const whole = 20_000 * arenaBytes(1000)
  kept.forEach((one, i) => { if (i % 10 !== 0) arena.free(one) })
  t.ok(arena.slackBytes > whole * 0.8, 'each block has some left')

  arena.vacate()
  const left = kept.map((first, i) => [first, i] as const).filter(([, i]) => i % 10 === 0).map(([first, i]) => [arena.moved(first), i] as const)
  t.ok(arena.slackBytes < whole / 50, `${arena.slackBytes} unused`)
  t.ok(left.every(([first, i]) => arena.read(first, 1000) === textOf(i, 1000)))
  left.forEach(([first]) => { arena.free(first) })
  t.ok(arena.slackBytes <= 2 ** 18)
})

t.test('a text is copied to where it is wanted', async t => {
  const arena = new TextArena(() => {})
  const text = textOf(5, 777)
  const first = keep(arena, text)
  const bytes = Buffer.alloc(1024, '#')
  arena.copy(first, text.length, new Int32Array(bytes.buffer, bytes.byteOffset, 256), 3)
  t.equal(bytes.toString('latin1', 0, 12 + 777), '#'.repeat(12) + text)
  t.equal(bytes.toString('latin1', 12 + 780), '#'.repeat(1024 - 792), 'and no more than the word in which it ends')
})

t.test('where the system has no more memory, a text stays where it is, in part or whole, and nothing is lost of what is free', async t => {
  const arena = new TextArena(() => {})
  const kept = Array.from({ length: 2000 }, (_, i) => ({ text: textOf(i, 1000), first: keep(arena, textOf(i, 1000)) }))
  kept.forEach(({ first }, i) => { if (i % 10 !== 0) arena.free(first) })
  const moving = kept.filter((_, i) => i % 10 === 0)
  arena.vacate()

  const system = t.intercept(globalThis, 'SharedArrayBuffer', { value: function () { throw new RangeError('Array buffer allocation failed') } })
  const others: number[] = []
  t.throws(() => { for (let i = 0; i < 100_000; i++) others.push(keep(arena, textOf(others.length, 100))) }, /allocation failed/)
  // Room for some of a text.
  for (let i = 0; i < 3; i++) arena.free(others.pop() as number)
  const slack = arena.slackBytes
  t.throws(() => keep(arena, textOf(0, 1000)), /allocation failed/)
  t.equal(arena.slackBytes, slack)

  for (const one of moving) one.first = arena.moved(one.first)
  system.restore()
  for (let i = 0; i < 5000; i++) others.push(keep(arena, textOf(others.length, 100)))
  t.ok(moving.every(({ text, first }) => arena.read(first, 1000) === text))
  t.ok(others.every((first, i) => arena.read(first, 100) === textOf(i, 100)))
  for (const first of [...others, ...moving.map(({ first }) => first)]) arena.free(first)
  t.ok(arena.slackBytes <= 2 ** 18)
})
