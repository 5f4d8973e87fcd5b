/** Made traces: each is one thing that caches meet, the same for the same seed. */
import { createRandom, createZipf, type Random } from './random.ts'
import { TraceWriter, type Trace } from './trace.ts'

export interface GeneratorOptions {
  readonly seed: number
  readonly requests: number
  /** Keys that may be asked for more than once. */
  readonly items: number
  /** All of one size rather than log-normal ones. */
  readonly evenSizes?: boolean
}

type Generator = (options: GeneratorOptions) => Trace

/** Median 10 kB, one in a hundred above 330 kB: about what responses of the web are like. */
function logNormalSize (random: Random): number {
  return Math.round(Math.exp(Math.log(10_000) + 1.5 * random.normal()))
}

function generate (name: string, options: GeneratorOptions, requestAt: (random: Random, items: number) => (time: number) => string | number): Trace {
  const random = createRandom(options.seed * 7919 + 17)
  const sizes = createRandom(options.seed * 104_729 + 5)
  const next = requestAt(random, options.items)
  const writer = new TraceWriter()
  const size = options.evenSizes === true ? 1000 : () => logNormalSize(sizes)
  while (writer.length < options.requests) writer.add(next(writer.length), size)
  return writer.finish(name)
}

const zipf = (exponent: number): Generator => options => generate(`zipf ${exponent}`, options, (random, items) => createZipf(random, items, exponent))

/** @param share of requests for keys that never come again */
const oneHitWonders = (share: number): Generator => options => generate(`one-hit wonders ${share}`, options, (random, items) => {
  const popular = createZipf(random, items, 0.9)
  return time => random.next() < share ? `once ${time}` : popular()
})

/** Every so often somebody reads a long row of keys once. */
const scans: Generator = options => generate('scans', options, (random, items) => {
  const popular = createZipf(random, items, 0.9)
  const length = Math.floor(items / 4)
  let left = 0
  let at = 0
  return () => {
    if (left === 0 && random.next() < 0.5 / length) {
      left = length
      at = random.below(items)
    }
    if (left > 0 && random.next() < 0.7) {
      left--
      return `scanned ${at++}`
    }
    return popular()
  }
})

/** A row of keys again and again, longer than the cache, among popular ones. */
const loops: Generator = options => generate('loops', options, (random, items) => {
  const popular = createZipf(random, items, 0.8)
  const length = Math.floor(items / 5)
  let at = 0
  return () => random.next() < 0.5 ? `loop ${at++ % length}` : popular()
})

/** Who is popular changes a little with each request: the most popular give way to new ones. */
const drift: Generator = options => generate('drifting popularity', options, (random, items) => {
  const popular = createZipf(random, Math.floor(items / 4), 0.9)
  const speed = items / options.requests
  return time => Math.floor(time * speed) + popular()
})

/** Now and then all popularity is dealt anew. */
const phases: Generator = options => generate('phases', options, (random, items) => {
  const popular = createZipf(random, items, 0.9)
  const length = options.requests / 5
  return time => {
    const phase = Math.floor(time / length)
    return (popular() * 31 + phase * 7_919) % items
  }
})

/** New keys that are asked for often for a short while, then never again: news. */
const bursts: Generator = options => generate('bursts', options, (random, items) => {
  const popular = createZipf(random, items, 0.8)
  const burning: Array<{ key: string, left: number }> = []
  return time => {
    if (random.next() < 0.03) burning.push({ key: `burst ${time}`, left: 5 + random.below(30) })
    if (burning.length === 0 || random.next() < 0.35) return popular()
    const place = random.below(Math.min(burning.length, 200))
    const burst = burning[place] as { key: string, left: number }
    if (--burst.left === 0) burning.splice(place, 1)
    return burst.key
  }
})

/** What was asked for lately is asked for again, by how lately: LRU's own ground. */
const recency: Generator = options => generate('recency', options, (random, items) => {
  const history: number[] = []
  let created = 0
  return () => {
    const back = Math.floor(Math.exp(random.next() * Math.log(items)))
    const key = random.next() < 0.15 || back > history.length ? created++ : history[history.length - back] as number
    history.push(key)
    return key
  }
})

/** One after another of the above in one trace, so that no rule is right all the time. */
const shifting: Generator = options => {
  const parts = [zipf(1), bursts, loops, scans, recency]
  const writer = new TraceWriter()
  parts.forEach((part, place) => {
    const { keys, sizes } = part({ ...options, requests: Math.floor(options.requests / parts.length) })
    // The popular keys are the same ones throughout where parts number them alike.
    for (const key of keys) writer.add(place === 4 ? `recency ${key}` : key, sizes[key] as number)
  })
  return writer.finish('shifting')
}

export const generators: readonly Generator[] = [zipf(0.8), zipf(1), oneHitWonders(0.3), oneHitWonders(0.6), scans, loops, drift, phases, bursts, recency, shifting]

// --- held out: never looked at while parameters of the policies were chosen ----------------------------------------

/** Two crowds with popular keys of their own, by turns (day and night), on a floor of keys asked for once. */
const dayAndNight: Generator = options => generate('held out: day and night', options, (random, items) => {
  const half = Math.floor(items / 2)
  const popular = createZipf(random, half, 1.1)
  return time => {
    if (random.next() < 0.2) return `once ${time}`
    const day = Math.sin(time / options.requests * 6 * Math.PI)
    return popular() + (random.next() < (1 + day) / 2 ? half : 0)
  }
})

/** A page and what belongs to it: runs of keys that come together, pages by popularity. */
const pages: Generator = options => generate('held out: pages', options, (random, items) => {
  const perPage = 12
  const popular = createZipf(random, Math.floor(items / perPage), 0.85)
  let page = 0
  let part = perPage
  return () => {
    if (part === perPage) {
      page = popular()
      part = 0
    }
    return random.next() < 0.15 ? `shared ${random.below(50)}` : page * perPage + part++
  }
})

/** Each key is asked for two or three times within some distance, then never again. */
const fewTimes: Generator = options => generate('held out: few times', options, (random, items) => {
  const due = new Map<number, string[]>()
  return time => {
    const waiting = due.get(time)
    due.delete(time)
    const key = waiting?.[0] ?? `key ${time}`
    for (const late of waiting?.slice(1) ?? []) (due.get(time + 1) ?? due.set(time + 1, []).get(time + 1) as string[]).push(late)
    if (waiting === undefined ? random.next() < 0.8 : random.next() < 0.35) {
      const then = time + 1 + Math.floor(Math.exp(random.next() * Math.log(items)))
      const list = due.get(then)
      if (list === undefined) due.set(then, [key])
      else list.push(key)
    }
    return key
  }
})

/** A working set that doubles and halves. */
const breathing: Generator = options => generate('held out: breathing', options, (random, items) => {
  const flat = createZipf(random, items, 0.6)
  return time => {
    const share = 0.55 - 0.45 * Math.cos(time / options.requests * 8 * Math.PI)
    return Math.floor(flat() * share)
  }
})

/** A crawler goes through everything in order while people ask for what is new. */
const crawler: Generator = options => generate('held out: crawler', options, (random, items) => {
  const fresh = createZipf(random, Math.floor(items / 2), 1)
  let at = 0
  return time => {
    if (random.next() < 0.4) return at++ % items
    return items + Math.floor(time / 20) - fresh()
  }
})

export const heldOutGenerators: readonly Generator[] = [dayAndNight, pages, fewTimes, breathing, crawler]
