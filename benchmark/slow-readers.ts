/**
 * `npm run bench:slow-readers`: the memory of a proxy whose 50 clients read 100 MB each, slowly.
 *
 * The proxy is the command itself, in a process of its own; what it holds is read from the system while the clients take a
 * little at a time, until each has all of it. `READERS` (50), `MEGABYTES` (100) and `PAUSE_MS` (10) say how many, much and slow.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'

const readers = Number(process.env['READERS'] ?? 50)
const bytes = Number(process.env['MEGABYTES'] ?? 100) * 1_000_000
const pauseMs = Number(process.env['PAUSE_MS'] ?? 10)
const piece = Buffer.alloc(64 * 1024)

const origin = createServer((_request, response) => {
  response.writeHead(200, { 'content-length': bytes, 'cache-control': 'max-age=60' })
  let left = bytes
  const more = (): void => {
    for (let room = true; room && left > 0; left -= piece.length) room = response.write(left < piece.length ? piece.subarray(0, left) : piece)
    if (left > 0) response.once('drain', more)
    else response.end()
  }
  more()
})
await new Promise<void>(resolve => { origin.listen(0, '127.0.0.1', resolve) })
const child = spawn(process.execPath, [
  join(import.meta.dirname, '../src/server.ts'), '--upstream', `http://127.0.0.1:${(origin.address() as AddressInfo).port}`, '--host', '127.0.0.1', '--port', '0', '--admin-port', '0'
], { stdio: ['ignore', 'pipe', 'inherit'] })

/** Resident bytes of the proxy, now and at most, as Linux tells them. */
function resident (): { now: number, most: number } {
  const text = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  const kilobytes = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1])
  return { now: kilobytes('VmRSS') * 1024, most: kilobytes('VmHWM') * 1024 }
}

function readSlowly (port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let seen = 0
    socket.on('data', chunk => {
      seen += chunk.length
      socket.pause()
      setTimeout(() => { socket.resume() }, pauseMs)
    })
    socket.once('error', reject)
    socket.once('close', () => { resolve(seen) })
    socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n`)
  })
}

const megabytes = (count: number): string => `${(count / 1_000_000).toFixed(0)} MB`

try {
  let log = ''
  const port = await new Promise<number>(resolve => {
    child.stdout.on('data', chunk => {
      log += chunk
      const found = /"role":"proxy","host":"[^"]+","port":(\d+)/.exec(log)
      if (found !== null) resolve(Number(found[1]))
    })
  })
  await readSlowly(port, '/warm')
  const before = resident().now
  let sum = 0
  let samples = 0
  const sampling = setInterval(() => {
    sum += resident().now
    samples++
  }, 200)
  const startedAt = performance.now()
  const seen = await Promise.all(Array.from({ length: readers }, (_, i) => readSlowly(port, `/${i}`)))
  clearInterval(sampling)
  const whole = seen.filter(count => count > bytes).length

  process.stdout.write(`Node ${process.version}; ${readers} readers of ${megabytes(bytes)} each, ${whole} got all of it, in ${((performance.now() - startedAt) / 1000).toFixed(0)} s\n\n`)
  process.stdout.write('| resident memory of the proxy | |\n|---|---|\n')
  process.stdout.write(`| before | ${megabytes(before)} |\n| on average | ${megabytes(sum / samples)} |\n| at most | ${megabytes(resident().most)} |\n`)
  process.stdout.write(`| for each reader, at most | ${((resident().most - before) / readers / 1_000_000).toFixed(2)} MB |\n`)
  if (whole < readers) process.exitCode = 1
} finally {
  child.kill()
  origin.closeAllConnections()
  origin.close()
}
