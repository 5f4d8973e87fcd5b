/**
 * A distribution over traces: each is drawn from its seed - keys, sizes, and one to four kinds of traffic with parameters of their
 * own, mixed or one after another. Nobody has chosen these traces, and nobody can tune a policy to all of them.
 */
import { createComponent, type Component } from './components.ts'
import { createRandom, logUniform, type Random } from './random.ts'
import { TraceWriter, type Trace } from './trace.ts'

/** The trace of a seed; its name tells what was drawn. */
export function drawTrace (seed: number): Trace {
  const random = createRandom(seed * 92_821 + 7)
  const requests = 100_000 + random.below(200_001)
  const items = Math.floor(logUniform(random, 5000, 100_000))
  const [sizes, size] = drawSizes(random, createRandom(seed * 31_337 + 3))
  const components = Array.from({ length: 1 + random.below(4) }, () => createComponent(random, items, requests))
  const weights = components.map(() => 0.2 + random.next())
  const [order, componentAt] = drawOrder(random, weights, requests)

  const writer = new TraceWriter()
  while (writer.length < requests) {
    const place = componentAt(writer.length)
    // Each kind of traffic has keys of its own.
    writer.add((components[place] as Component).next() * 4 + place, size)
  }
  const parts = components.map(({ name }, i) => `${Math.round((weights[i] as number) / sum(weights) * 100)} % ${name}`)
  return writer.finish(`${seed}: ${Math.round(requests / 1000)}k requests, ${sizes}, ${order} ${parts.join(' + ')}`)
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

/** Sizes in bytes, about 10 kB in the middle. */
function drawSizes (random: Random, each: Random): readonly [name: string, size: () => number] {
  switch (random.below(4)) {
    case 0: return ['even sizes', () => 1000]
    case 1: {
      const deviation = 0.5 + 1.5 * random.next()
      return [`log-normal ${deviation.toFixed(1)}`, () => Math.round(Math.exp(Math.log(10_000) + deviation * each.normal()))]
    }
    case 2: {
      const shape = 1.1 + 1.4 * random.next()
      return [`Pareto ${shape.toFixed(1)}`, () => Math.min(1e8, Math.round(4000 * (1 - each.next()) ** (-1 / shape)))]
    }
    default: {
      const large = logUniform(random, 0.01, 0.3)
      return [`bimodal ${large.toFixed(2)}`, () => Math.round((each.next() < large ? 500_000 : 5000) * (0.5 + each.next()))]
    }
  }
}

/** Which component a request is of: any by weight, or one after another, once or in several rounds. */
function drawOrder (random: Random, weights: readonly number[], requests: number): readonly [name: string, at: (time: number) => number] {
  const total = sum(weights)
  const placeOf = (share: number): number => {
    let left = share * total
    const place = weights.findIndex(weight => (left -= weight) < 0)
    return place === -1 ? weights.length - 1 : place
  }
  if (weights.length === 1) return ['only', () => 0]
  if (random.next() < 0.6) return ['mixed', () => placeOf(random.next())]
  const rounds = 1 + random.below(4)
  return [`in turn, ${rounds} x`, time => placeOf(time * rounds / requests % 1)]
}
