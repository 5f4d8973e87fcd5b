/** Knows when this process has more to do than it can (`@fastify/under-pressure`). Only work is refused for it, never a hit. */
import underPressure from '@fastify/under-pressure'
import fp from 'fastify-plugin'
import type { LoadSheddingConfig } from '../src/config/schema.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** One of the measures in `loadShedding` is over its bound. */
    isOverloaded: () => boolean
  }
}

/** The first sample is of the start, which holds up the event loop and is no load: what is measured counts from the second on. */
const samplesPassedOver = 2

export default fp<{ readonly config: LoadSheddingConfig }>(async function loadShedding (app, { config }) {
  let isUnderPressure: () => boolean = () => false
  // In a context of its own, so that two proxies in one process, or an application's own use of it, do not meet.
  await app.register(async inner => {
    if (!inner.hasDecorator('isUnderPressure')) {
      await inner.register(underPressure, {
        maxEventLoopDelay: config.eventLoopDelay,
        maxEventLoopUtilization: config.eventLoopUtilization,
        maxHeapUsedBytes: config.heapBytes,
        maxRssBytes: config.rssBytes,
        sampleInterval: config.sampleInterval,
        // It would refuse every request in `onRequest`; here the forwarding handler asks, after the cache.
        pressureHandler: () => {}
      })
    }
    isUnderPressure = inner.isUnderPressure
  })
  let hasSettled = false
  let settling: NodeJS.Timeout | undefined
  app.addHook('onReady', done => {
    settling = setTimeout(() => { hasSettled = true }, samplesPassedOver * config.sampleInterval).unref()
    done()
  })
  app.addHook('onClose', async () => { clearTimeout(settling) })
  app.decorate('isOverloaded', () => hasSettled && isUnderPressure())
}, { name: 'load-shedding', fastify: '5.x' })
