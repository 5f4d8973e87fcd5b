/**
 * The yardsticks, as `node servers/node.ts NAME [ORIGIN]`; prints the port. Like the origin server's, paths say how many
 * bytes are asked for: `/stored/1024/...`.
 */
import replyFrom from '@fastify/reply-from'
import Fastify from 'fastify'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fieldsOf } from './fields.ts'

const [name = '', origin = ''] = process.argv.slice(2)
const made = new Map<string, { readonly body: Buffer, readonly fields: Record<string, string>, readonly flat: string[] }>()

function answerOf (url: string): { readonly body: Buffer, readonly fields: Record<string, string>, readonly flat: string[] } {
  let answer = made.get(url)
  if (answer === undefined) {
    const bytes = Number(url.split('/')[2])
    const fields = fieldsOf(bytes)
    made.set(url, answer = { body: Buffer.alloc(bytes, 'x'), fields, flat: Object.entries(fields).flat() })
  }
  return answer
}

const servers: Readonly<Record<string, () => Promise<AddressInfo>>> = {
  /** The yardstick of hits: a Fastify route with eight fields. */
  async hello () {
    const app = Fastify()
    app.get('/*', (request, reply) => {
      const { body, fields } = answerOf(request.url)
      reply.headers(fields).send(body)
    })
    await app.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
    return app.server.address() as AddressInfo
  },
  /** Node's own server, without anything around it. */
  async raw () {
    const server = createServer((request, response) => {
      const { body, flat } = answerOf(request.url as string)
      response.writeHead(200, flat).end(body)
    })
    await new Promise<void>(resolve => { server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve) })
    return server.address() as AddressInfo
  },
  /** The yardstick of misses: reply-from as it comes. */
  async 'reply-from' () {
    const app = Fastify()
    await app.register(replyFrom, { base: origin })
    app.all('/*', (request, reply) => { reply.from(request.url) })
    await app.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
    return app.server.address() as AddressInfo
  }
}

const start = servers[name]
if (start === undefined) throw new Error(`no such server: ${name}; there are ${Object.keys(servers).join(', ')}`)
process.stdout.write(`${(await start()).port}\n`)
