/** Verdicts on charges by `@fastify/rate-limit` over our store. */
import fastifyRateLimit from '@fastify/rate-limit'
import type { Charge, RateLimitStore, Verdict } from '../src/rate-limit/store.ts'

/** A request as the limiter sees it: the charges that it is about, and what was said of them. */
interface Asked {
  readonly routeOptions: object
  readonly charges: readonly Charge[]
  verdict: Verdict | null
}

type Limiter = (asked: Asked) => Promise<{ readonly isExceeded?: boolean }>

/**
 * The plugin is taken through a stand-in for the instance: its decorators and
 * its hook on routes would meet those of an application that uses it as well.
 */
export async function createJudge (store: RateLimitStore): Promise<(charges: readonly Charge[]) => Promise<Verdict>> {
  class Counters {
    incr (asked: Asked, done: (error: Error | null, result?: { current: number, ttl: number }) => void): void {
      store.take(asked.charges, (error, verdict) => {
        if (error !== null || verdict === undefined) return done(error ?? new Error('the store gave no verdict'))
        asked.verdict = verdict
        done(null, { current: verdict.passed ? 0 : 1, ttl: verdict.waitMs })
      })
    }

    child (): Counters { return this }
  }
  let create: (() => Limiter) | null = null
  const standIn = {
    hasDecorator: () => false,
    decorateRequest () {},
    addHook () {},
    decorate (name: string, value: unknown) { if (name === 'createRateLimit') create = value as () => Limiter }
  }
  // One over nothing: what fits is decided in the store, for all limits together.
  await (fastifyRateLimit as unknown as (instance: object, settings: object) => Promise<void>)(standIn, { global: false, max: 0, keyGenerator: (asked: Asked) => asked, store: Counters })
  const limiter = (create as unknown as () => Limiter)()

  return async charges => {
    const asked: Asked = { routeOptions: {}, charges, verdict: null }
    await limiter(asked)
    return asked.verdict as unknown as Verdict
  }
}
