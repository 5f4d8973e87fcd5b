/**
 * Load over HTTP/2: `node lib/http2-load.ts LOAD_INPUT`, JSON in and out (`load.ts`). `connections` counts requests at a
 * time, of which each of some sessions has its share. It costs more than the servers it asks: processor time of the
 * server says more here than requests per second.
 */
import { connect, constants, type ClientHttp2Session } from 'node:http2'
import type { Load, LoadInput } from './load.ts'
import { percentile } from './statistics.ts'

const { url, fields = {}, connections, seconds } = JSON.parse(process.argv[2] as string) as LoadInput
const streamsPerSession = 8
const { origin, pathname } = new URL(url)
const endsAt = performance.now() + seconds * 1000
const latencies: number[] = []
let refused = 0
let errors = 0

function ask (session: ClientHttp2Session): Promise<void> {
  return new Promise(resolve => {
    const startedAt = performance.now()
    const stream = session.request({ ':path': pathname, ...fields })
    stream.on('response', ({ ':status': status = 0 }) => { if (status >= 400) refused++ })
    stream.on('error', () => { errors++ })
    stream.on('close', () => {
      if (stream.rstCode === constants.NGHTTP2_NO_ERROR) latencies.push((performance.now() - startedAt) * 1000)
      resolve()
    })
    stream.resume()
    stream.end()
  })
}

async function askAgain (session: ClientHttp2Session): Promise<void> {
  while (performance.now() < endsAt && !session.destroyed) await ask(session)
}

const startedAt = performance.now()
await Promise.all(Array.from({ length: Math.ceil(connections / streamsPerSession) }, async () => {
  const session = connect(origin, { rejectUnauthorized: false })
  session.on('error', () => { errors++ })
  await Promise.all(Array.from({ length: Math.min(connections, streamsPerSession) }, () => askAgain(session)))
  session.close()
}))
process.stdout.write(`${JSON.stringify({
  requests: latencies.length,
  seconds: (performance.now() - startedAt) / 1000,
  p50Us: percentile(latencies, 50),
  p99Us: percentile(latencies, 99),
  refused,
  errors
} satisfies Load)}\n`)
