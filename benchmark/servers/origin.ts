/**
 * The origin server of the benchmarks: as little work as can be, for it shares a core with the load generator.
 *
 * `/stored/BYTES/...` may be stored, `/passing/BYTES/...` may not, `/varying/BYTES/...` varies by `X-Variant`,
 * `/slow/MS/BYTES/...` takes a while and may be stored, `/failing/...` is answered with 503, `/broken/...` not at all. `/-/count` says how many other requests there were.
 * It reads no more of a request than its first line: clients here send no content.
 */
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { fieldLines } from './fields.ts'

const answers = new Map<string, Buffer>()
let count = 0

/** Whole responses are kept by kind and size, however many URLs have them. */
function answerOf (kind: string, bytes: number): Buffer {
  const key = `${kind} ${bytes}`
  let answer = answers.get(key)
  if (answer === undefined) {
    const control = kind === 'passing' ? 'no-store' : 'max-age=86400'
    const vary = kind === 'varying' ? 'X-Variant' : 'Accept-Encoding'
    answer = Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${fieldLines(bytes, control, vary)}Date: ${new Date().toUTCString()}\r\n\r\n`), Buffer.alloc(bytes, 'x')])
    answers.set(key, answer)
  }
  return answer
}

function answer (socket: Socket, path: string): void {
  if (path === '/-/count') {
    const text = String(count)
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\nCache-Control: no-store\r\n\r\n${text}`)
    return
  }
  count++
  const [, kind = '', first = '', second = ''] = path.split('/')
  if (kind === 'slow') setTimeout(() => { socket.write(answerOf(kind, Number(second))) }, Number(first))
  else if (kind === 'failing') socket.write('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n')
  else if (kind === 'broken') socket.destroy()
  else if (/^\d+$/.test(first)) socket.write(answerOf(kind, Number(first)))
  else socket.write('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
}

// Answers made in the morning are not stale by noon: the date of all of them is renewed.
setInterval(() => { answers.clear() }, 60_000).unref()

const server = createServer({ noDelay: true }, socket => {
  let rest = ''
  socket.on('error', () => {})
  socket.on('data', chunk => {
    rest += chunk.toString('latin1')
    for (let end = rest.indexOf('\r\n\r\n'); end !== -1; end = rest.indexOf('\r\n\r\n')) {
      const from = rest.indexOf(' ') + 1
      answer(socket, rest.slice(from, rest.indexOf(' ', from)))
      rest = rest.slice(end + 4)
    }
  })
})
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => { process.stdout.write(`${(server.address() as AddressInfo).port}\n`) })
