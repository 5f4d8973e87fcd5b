/**
 * Chooses the rule that a store follows, by what each would have done: one cache of keys alone for each candidate, all
 * on the same sample of the requests, and the rule with the most hits of late wins.
 *
 * A sample of the key space is enough (see `key-simulation.ts`), and it gets thinner as the store grows, so that memory and
 * time are bounded: at most `mostSampledKeys` for each candidate, about 60 bytes each.
 */
import { KeySimulation } from './key-simulation.ts'
import type { Bounds, Rule } from './queues.ts'

export interface ChooserOptions {
  readonly candidates: readonly Rule[]
  readonly bounds: Bounds
  /** The one to begin with. */
  readonly initial: Rule
  readonly mostSampledKeys?: number
}

/** Enough that two rules a point apart are told apart, few enough for some hundred kilobytes. */
const mostSampledKeys = 2048
/** Sampled requests between two decisions, at least. */
const leastRequests = 128
/** What earlier periods count at the end of the next one: about the last eight matter. */
const memory = 0.875
/** Another rule has to be better by this share of the requests: half of the point that the bar allows would be lost by dithering. */
const margin = 0.002

export class RuleChooser {
  readonly #simulations: readonly KeySimulation[]
  readonly #bounds: Bounds
  readonly #mostSampledKeys: number
  readonly #hits: Float64Array
  #weight = 0
  #requests = 0
  #chosen: number
  #switches = 0
  /** Of a key's hash, the top bits have to be 0; none at first: each key is looked at. */
  #sampleBits = 0

  constructor (options: ChooserOptions) {
    this.#bounds = options.bounds
    this.#mostSampledKeys = options.mostSampledKeys ?? mostSampledKeys
    this.#simulations = options.candidates.map(rule => new KeySimulation(rule, options.bounds))
    this.#chosen = options.candidates.indexOf(options.initial)
    this.#hits = new Float64Array(this.#simulations.length)
  }

  get rule (): Rule { return (this.#simulations[this.#chosen] as KeySimulation).rule }
  get switches (): number { return this.#switches }
  get sampledKeys (): number { return this.#simulations.reduce((sum, { count }) => sum + count, 0) }
  get overheadBytes (): number { return this.#simulations.reduce((sum, { overheadBytes }) => sum + overheadBytes, 0) }
  /** Hits of late by rule, as a share of the sampled requests. */
  get hitRatios (): Record<string, number> {
    return Object.fromEntries(this.#simulations.map(({ rule }, i) => [rule.name, this.#weight === 0 ? 0 : (this.#hits[i] as number) / this.#weight]))
  }

  /** Takes note of a request, hit or miss. @returns whether the rule to follow is another one now */
  request (hash: number, sizeBytes: number): boolean {
    if (!this.#isSampled(hash)) return false
    const simulations = this.#simulations
    let most = 0
    for (let i = 0; i < simulations.length; i++) {
      const simulation = simulations[i] as KeySimulation
      if (simulation.request(hash, sizeBytes)) this.#hits[i] = (this.#hits[i] as number) + 1
      if (simulation.count > most) most = simulation.count
    }
    this.#weight++
    if (most > this.#mostSampledKeys) this.#thinOut()
    if (++this.#requests < Math.max(leastRequests, most / 4)) return false
    this.#requests = 0
    return this.#decide()
  }

  remove (hash: number): void {
    if (this.#isSampled(hash)) for (const simulation of this.#simulations) simulation.remove(hash)
  }

  clear (): void {
    for (const simulation of this.#simulations) simulation.clear()
    this.#hits.fill(0)
    this.#weight = 0
  }

  #decide (): boolean {
    const hits = this.#hits
    let best = this.#chosen
    for (let i = 0; i < hits.length; i++) if ((hits[i] as number) > (hits[best] as number)) best = i
    const better = (hits[best] as number) - (hits[this.#chosen] as number) > margin * this.#weight
    for (let i = 0; i < hits.length; i++) hits[i] = (hits[i] as number) * memory
    this.#weight *= memory
    if (!better) return false
    this.#chosen = best
    this.#switches++
    return true
  }

  #isSampled = (hash: number): boolean => this.#sampleBits === 0 || hash >>> (32 - this.#sampleBits) === 0

  #thinOut (): void {
    this.#sampleBits++
    const share = 2 ** this.#sampleBits
    const bounds = { maxBytes: this.#bounds.maxBytes / share, maxEntries: Math.ceil(this.#bounds.maxEntries / share) }
    for (const simulation of this.#simulations) simulation.narrow(this.#isSampled, bounds)
  }
}
