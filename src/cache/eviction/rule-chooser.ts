/**
 * Chooses the rule that a store follows, by what each would have done: one cache of keys alone for each candidate, all
 * on the same sample of the requests, and the rule with the most hits of late wins.
 *
 * A sample of the key space is enough (see `key-simulation.ts`), and it gets thinner as the store grows, so that memory and
 * time are bounded: at most `mostSampledKeys` for each candidate, about 60 bytes each with its ghost; together some
 * 600 kB, whatever the size of the store.
 */
import { KeySimulation } from './key-simulation.ts'
import type { PolicyStatistics } from './policy.ts'
import type { Bounds, Rule } from './queues.ts'

export interface ChooserOptions {
  readonly candidates: readonly Rule[]
  readonly bounds: Bounds
  /** The one to begin with. */
  readonly initial: Rule
  readonly mostSampledKeys?: number
}

/** Enough that two rules a point apart are told apart; a little below the power of two to which the arrays grow. */
const mostSampledKeys = 2000
/** Sampled requests between two decisions. */
const period = 64
/** What a change costs, in hits for each key held: what the rule in force has missed must add up to more before another one follows. */
const costOfChange = 0.05
/** With few keys equal rules would take turns on noise alone. */
const leastCostOfChange = 32
/**
 * What the store may fall short of the simulation of its own rule, in hits for each key held, before it begins with the rule anew. The
 * main queue of S3-FIFO can be full of what is dead, for good, while the simulation has never let it in.
 */
const mostShortfall = 1
/** Fewer keys count as so many, that a handful of requests is no horizon. */
const leastKeys = 100
/** Differences below this share of the requests are taken for noise and never add up. */
const noise = 0.002
/**
 * Requests for each key held over which another rule must be the better one too. Without it a scan that happens to suit LRU
 * brings it in for as long as it takes to lose everything popular.
 */
const horizon = 20

export class RuleChooser {
  readonly #simulations: readonly KeySimulation[]
  readonly #bounds: Bounds
  readonly #mostSampledKeys: number
  /** Hits in this period. */
  readonly #hits: Float64Array
  /** Hits that the rule in force has missed of late against each other one. */
  readonly #missed: Float64Array
  /** Hits over the horizon, older ones fading, and the requests they are of. */
  readonly #longHits: Float64Array
  #longRequests = 0
  #requests = 0
  /** Hits of the store itself in this period, and what it has fallen short of the simulation of its rule. */
  #stored = 0
  #shortfall = 0
  /** How much of it is too much: twice as much each time that beginning anew has not helped. */
  #mostShortfall = mostShortfall
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
    this.#missed = new Float64Array(this.#simulations.length)
    this.#longHits = new Float64Array(this.#simulations.length)
  }

  get rule (): Rule { return (this.#simulations[this.#chosen] as KeySimulation).rule }
  get switches (): number { return this.#switches }
  get sampledKeys (): number { return this.#simulations.reduce((sum, { count }) => sum + count, 0) }
  get overheadBytes (): number {
    let bytes = 0
    for (const simulation of this.#simulations) bytes += simulation.overheadBytes
    return bytes
  }

  /** Which rule is followed, and hits by rule as a share of the sampled requests over the horizon. */
  get rules (): PolicyStatistics['rules'] {
    const ratioOf = (i: number): number => this.#longRequests === 0 ? 0 : (this.#longHits[i] as number) / this.#longRequests
    return Object.fromEntries(this.#simulations.map(({ rule }, i) => [rule.name, { inForce: i === this.#chosen ? 1 : 0, hitRatio: ratioOf(i) }]))
  }

  /** Takes note of a request, and of whether it was a hit. @returns whether to follow another rule now, or the same one anew */
  request (hash: number, sizeBytes: number, isHit: boolean): boolean {
    if (!this.isSampled(hash)) return false
    if (isHit) this.#stored++
    const simulations = this.#simulations
    let most = 0
    for (let i = 0; i < simulations.length; i++) {
      const simulation = simulations[i] as KeySimulation
      if (simulation.request(hash, sizeBytes)) this.#hits[i] = (this.#hits[i] as number) + 1
      if (simulation.count > most) most = simulation.count
    }
    if (most > this.#mostSampledKeys) this.#thinOut()
    if (++this.#requests < period) return false
    return this.#decide(most)
  }

  remove (hash: number): void {
    if (this.isSampled(hash)) for (const simulation of this.#simulations) simulation.remove(hash)
  }

  clear (): void {
    for (const simulation of this.#simulations) simulation.clear()
    this.#hits.fill(0)
    this.#missed.fill(0)
    this.#longHits.fill(0)
    this.#longRequests = this.#requests = this.#stored = this.#shortfall = 0
    this.#mostShortfall = mostShortfall
  }

  /**
   * A cumulated sum with a floor (Page, Biometrika 1954): small differences take long to matter, large ones act at once, and what
   * one change costs was lost before by not changing. Whoever follows must be the better one over the horizon as well.
   */
  #decide (keys: number): boolean {
    const weight = Math.max(leastKeys, keys)
    const enough = Math.max(leastCostOfChange, costOfChange * keys)
    const kept = Math.max(0.5, 1 - period / (horizon * weight))
    const hits = this.#hits
    const missed = this.#missed
    const simulated = hits[this.#chosen] as number
    const own = simulated + noise * period
    let best = this.#chosen
    missed[best] = 0
    for (let i = 0; i < hits.length; i++) {
      missed[i] = Math.max(0, (missed[i] as number) + (hits[i] as number) - own)
      this.#longHits[i] = (this.#longHits[i] as number) * kept + (hits[i] as number)
    }
    const inForce = this.#longHits[this.#chosen] as number
    for (let i = 0; i < hits.length; i++) {
      if ((missed[i] as number) > (missed[best] as number) && (this.#longHits[i] as number) > inForce) best = i
    }
    this.#longRequests = this.#longRequests * kept + period
    this.#shortfall = Math.max(0, this.#shortfall + simulated - this.#stored - noise * period)
    this.#requests = this.#stored = 0
    hits.fill(0)
    if (best === this.#chosen || (missed[best] as number) < enough) {
      if (this.#shortfall < this.#mostShortfall * weight) return false
      this.#shortfall = 0
      this.#mostShortfall *= 2
      return true
    }
    this.#shortfall = 0
    this.#mostShortfall = mostShortfall
    this.#chosen = best
    this.#switches++
    missed.fill(0)
    return true
  }

  /** Whether requests for a key are looked at. */
  isSampled (hash: number): boolean { return this.#sampleBits === 0 || hash >>> (32 - this.#sampleBits) === 0 }

  #thinOut (): void {
    this.#sampleBits++
    const share = 2 ** this.#sampleBits
    const bounds = { maxBytes: this.#bounds.maxBytes / share, maxEntries: Math.ceil(this.#bounds.maxEntries / share), keysForOne: share }
    for (const simulation of this.#simulations) simulation.narrow(hash => this.isSampled(hash), bounds)
  }
}
