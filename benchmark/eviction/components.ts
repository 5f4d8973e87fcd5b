/** Kinds of traffic of which drawn traces are made (`families.ts`), each with parameters drawn anew. */
import { createZipf, logUniform, type Random } from './random.ts'

export interface Component {
  readonly name: string
  /** Key of the next request, a whole number from 0. */
  next (): number
}

/** @param items keys at the most, about; @param requests of the whole trace */
type Kind = (random: Random, items: number, requests: number) => Component

const exponentOf = (random: Random): number => 0.5 + 0.9 * random.next()

const popular: Kind = (random, items) => {
  const exponent = exponentOf(random)
  return { name: `zipf ${exponent.toFixed(2)}`, next: createZipf(random, items, exponent) }
}

const once: Kind = () => {
  let key = 0
  return { name: 'once', next: () => key++ }
}

/** Rows of keys that are read once, now and then, from anywhere among those that are asked for anyway. */
const scans: Kind = (random, items) => {
  const exponent = exponentOf(random)
  const zipf = createZipf(random, items, exponent)
  const length = Math.floor(logUniform(random, 0.01, 1) * items)
  const share = 0.1 + 0.7 * random.next()
  const apart = length * (1 - share) / share
  let left = 0
  let at = 0
  return {
    name: `scans of ${length} (${share.toFixed(2)}) in zipf ${exponent.toFixed(2)}`,
    next () {
      if (left === 0 && random.next() < 1 / apart) {
        left = length
        at = random.below(items)
      }
      if (left === 0) return zipf()
      left--
      return at++ % items
    }
  }
}

const loop: Kind = (random, items) => {
  // From a part of the smaller cache to a few times the larger one.
  const length = Math.max(20, Math.floor(logUniform(random, 0.003, 0.5) * items))
  let at = 0
  return { name: `loop of ${length}`, next: () => at++ % length }
}

/** The most popular give way to new ones, a little with each request. */
const drift: Kind = (random, items, requests) => {
  const exponent = exponentOf(random)
  const zipf = createZipf(random, Math.ceil(items / 3), exponent)
  const speed = logUniform(random, 0.02, 2) * items / requests
  let time = 0
  return { name: `drift of ${speed.toFixed(3)} in zipf ${exponent.toFixed(2)}`, next: () => Math.floor(time++ * speed) + zipf() }
}

/** Now and then all popularity is dealt anew. */
const phases: Kind = (random, items, requests) => {
  const exponent = exponentOf(random)
  const zipf = createZipf(random, items, exponent)
  const length = Math.floor(logUniform(random, 0.02, 0.5) * requests)
  let time = 0
  return {
    name: `phases of ${length} in zipf ${exponent.toFixed(2)}`,
    next: () => (zipf() + Math.floor(time++ / length) * 7919) % items
  }
}

/** New keys that are asked for often for a while, then never again. */
const bursts: Kind = (random) => {
  const together = Math.floor(logUniform(random, 5, 3000))
  const most = Math.floor(logUniform(random, 4, 100))
  const burning: Array<{ readonly key: number, left: number }> = []
  let created = 0
  return {
    name: `${together} bursts of ${most}`,
    next () {
      while (burning.length < together) burning.push({ key: created++, left: 1 + random.below(most) })
      const place = random.below(together)
      const burst = burning[place] as { readonly key: number, left: number }
      if (--burst.left === 0) burning[place] = { key: created++, left: 1 + random.below(most) }
      return burst.key
    }
  }
}

/** What was asked for lately is asked for again, by how lately. */
const recency: Kind = (random, items) => {
  const fresh = 0.02 + 0.4 * random.next()
  const reach = logUniform(random, 0.02, 1) * items
  const history: number[] = []
  let created = 0
  return {
    name: `recency to ${Math.round(reach)}, ${fresh.toFixed(2)} new`,
    next () {
      const back = Math.floor(reach ** random.next())
      const key = random.next() < fresh || back > history.length ? created++ : history[history.length - back] as number
      history.push(key)
      return key
    }
  }
}

/** Each key exactly twice, the second time within some distance. */
const pairs: Kind = (random, items) => {
  const reach = logUniform(random, 0.002, 0.5) * items
  const due = new Map<number, number>()
  let time = 0
  let created = 0
  return {
    name: `pairs within ${Math.round(reach)}`,
    next () {
      const again = due.get(++time)
      if (again !== undefined) {
        due.delete(time)
        return again
      }
      let then = time + 1 + random.below(Math.ceil(reach))
      while (due.has(then)) then++
      due.set(then, created)
      return created++
    }
  }
}

/** Days: some working sets by turns, all of a set about equally wanted. */
const periodic: Kind = (random, items, requests) => {
  const sets = 2 + random.below(3)
  const held = Math.max(20, Math.floor(logUniform(random, 0.003, 0.3) * items))
  const day = Math.floor(logUniform(random, 0.01, 0.2) * requests)
  let time = 0
  return {
    name: `${sets} sets of ${held} for ${day}`,
    next: () => Math.floor(time++ / day) % sets * held + random.below(held)
  }
}

const kinds: readonly Kind[] = [popular, popular, once, scans, loop, drift, phases, bursts, recency, pairs, periodic]

export function createComponent (random: Random, items: number, requests: number): Component {
  return (kinds[random.below(kinds.length)] as Kind)(random, items, requests)
}
