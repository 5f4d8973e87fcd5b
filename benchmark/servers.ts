/** The servers that are compared. Run as `node benchmark/servers.ts NAME [ORIGIN]`; prints the port it listens on. */
import replyFrom from '@fastify/reply-from'
import Fastify from 'fastify'
import { openSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolveConfig } from '../src/config/load.ts'
import { createProxyListener } from '../src/server/listener.ts'
import { createProcessLog } from '../src/server/logger.ts'

const [name = '', origin = ''] = process.argv.slice(2)
const body = Buffer.alloc(1024, 'x')
const fields = {
  'content-type': 'text/plain',
  'cache-control': 'max-age=3600',
  etag: '"1"',
  'last-modified': 'Mon, 05 Jan 2026 08:00:00 GMT',
  vary: 'accept-encoding',
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'content-length': String(body.length)
}

const servers: Readonly<Record<string, () => Promise<number>>> = {
  /** Answers everything; `/miss/*` may not be stored. */
  async origin () {
    const server = createServer((request, response) => {
      response.writeHead(200, request.url?.startsWith('/miss') === true ? { ...fields, 'cache-control': 'no-store' } : fields)
      response.end(body)
    })
    await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
    return (server.address() as AddressInfo).port
  },
  /** The yardstick of hits: a Fastify route with eight fields. */
  async hello () {
    const app = Fastify()
    app.get('/*', (_request, reply) => { reply.headers(fields).send(body) })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return (app.server.address() as AddressInfo).port
  },
  /** The yardstick of misses: reply-from as it comes. */
  async 'reply-from' () {
    const app = Fastify()
    await app.register(replyFrom, { base: origin })
    app.all('/*', (request, reply) => { reply.from(request.url) })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return (app.server.address() as AddressInfo).port
  },
  /** As shipped: metrics, access log, load shedding, Cache-Status, request ids, and a rate limit nobody reaches. */
  holdfast: () => startHoldfast(true),
  /** Without log and rate limit. */
  'holdfast-bare': () => startHoldfast(false)
}

async function startHoldfast (everything: boolean): Promise<number> {
  const config = resolveConfig({
    log: { access: everything },
    server: { limits: { requestsPerConnection: 0 } },
    upstreams: { origin: { targets: [origin] } },
    routes: [{ name: 'all', upstream: 'origin', ...(everything ? { rateLimit: { max: 1e9 } } : {}) }]
  })
  // As shipped, but for the file: the disk is not what is measured.
  const { logger } = createProcessLog('info', openSync('/dev/null', 'w'))
  const { app } = await createProxyListener({ config, logger: logger as never, tls: null })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

const start = servers[name]
if (start === undefined) throw new Error(`no such server: ${name}; there are ${Object.keys(servers).join(', ')}`)
process.stdout.write(`${await start()}\n`)
