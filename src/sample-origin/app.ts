/** A small origin server to try the proxy with: slow enough to feel, with every kind of caching rule. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface SampleOrigin {
  readonly url: string
  close (): Promise<void>
}

/** How long an article takes to make. */
const slowMs = 150
const changedAt = 'Mon, 05 Jan 2026 08:00:00 GMT'
const largestBytes = 512 * 1024 * 1024

const greetings: Readonly<Record<string, string>> = { en: 'Good day', de: 'Guten Tag', fr: 'Bonjour' }

type Page = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void> | void

/** @param options port 0 picks a free one */
export async function startSampleOrigin (options: { readonly host: string, readonly port: number }): Promise<SampleOrigin> {
  let served = 0

  const pages: Readonly<Record<string, Page>> = {
    '/': (_request, response) => {
      send(response, 200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'max-age=10' }, '<!doctype html><title>Sample origin</title><h1>Sample origin</h1>' +
        `<ul>${Object.keys(pages).map(path => `<li><a href="${path}">${path}</a></li>`).join('')}</ul>\n`)
    },
    '/article': async (request, response) => {
      await delay(slowMs)
      const body = JSON.stringify({ title: 'A page that takes its time', madeInMs: slowMs })
      const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`
      const fields = { 'content-type': 'application/json', 'cache-control': 'max-age=60', etag, 'last-modified': changedAt }
      if (request.headers['if-none-match'] === etag) send(response, 304, fields, '')
      else send(response, 200, fields, body + '\n')
    },
    '/private': (_request, response) => { send(response, 200, { 'cache-control': 'private, max-age=60' }, 'for you alone\n') },
    '/vary': (request, response) => {
      const language = /^(?:de|fr)/.exec(request.headers['accept-language'] ?? '')?.[0] ?? 'en'
      send(response, 200, { 'cache-control': 'max-age=60', vary: 'Accept-Language', 'content-language': language }, `${greetings[language]}\n`)
    },
    '/cookies': (_request, response) => { send(response, 200, { 'cache-control': 'max-age=60', 'set-cookie': ['a=1', 'b=2'] }, 'two cookies\n') },
    '/counter': (_request, response) => { send(response, 200, { 'cache-control': 'no-store' }, `${served}\n`) },
    '/error': (_request, response) => { send(response, 500, {}, 'this went wrong\n') },
    '/large': (_request, response, url) => {
      const bytes = Math.min(Number(url.searchParams.get('bytes') ?? 1024) || 0, largestBytes)
      response.writeHead(200, { 'content-length': bytes, 'cache-control': 'max-age=60' })
      writeZeros(response, bytes)
    },
    '/stream': (request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
      let tick = 0
      const timer = setInterval(() => { response.write(`data: ${++tick}\n\n`) }, 1000)
      request.once('close', () => { clearInterval(timer) })
      response.once('close', () => { clearInterval(timer) })
    },
    '/echo': (request, response) => {
      response.writeHead(200, { 'content-type': request.headers['content-type'] ?? 'application/octet-stream', 'cache-control': 'no-store' })
      request.pipe(response)
    }
  }

  const server = createServer((request, response) => {
    served++
    const url = new URL(request.url ?? '/', 'http://sample.invalid')
    const page = Object.hasOwn(pages, url.pathname) ? pages[url.pathname] : undefined
    if (page === undefined) return send(response, 404, { 'cache-control': 'max-age=5' }, 'nothing here\n')
    Promise.resolve(page(request, response, url)).catch(() => { response.destroy() })
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${options.host}:${port}`,
    async close () {
      server.closeAllConnections()
      await new Promise<void>(resolve => { server.close(() => { resolve() }) })
    }
  }
}

function send (response: ServerResponse, status: number, fields: Record<string, string | string[]>, body: string): void {
  const described = status === 304 ? fields : { 'content-type': 'text/plain; charset=utf-8', ...fields, 'content-length': Buffer.byteLength(body) }
  response.writeHead(status, described)
  response.end(status === 304 ? undefined : body)
}

function writeZeros (response: ServerResponse, bytes: number): void {
  const piece = Buffer.alloc(64 * 1024)
  let left = bytes
  const write = (): void => {
    while (left > 0) {
      const size = Math.min(left, piece.length)
      left -= size
      if (!response.write(size === piece.length ? piece : piece.subarray(0, size))) {
        response.once('drain', write)
        return
      }
    }
    response.end()
  }
  write()
}
