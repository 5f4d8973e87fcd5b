/** The log of a process, whose reader may have stopped. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'

const sent = 900
const program = `
import { createProcessLog } from ${JSON.stringify(join(import.meta.dirname, '../../src/server/logger.ts'))}
const { logger, flush } = createProcessLog('info')
const text = 'x'.repeat(100_000)
for (let number = 0; number < ${sent}; number++) {
  logger.info({ number, text }, 'line')
  await new Promise(setImmediate)
}
process.send(process.memoryUsage().rss)
await new Promise(resolve => { process.once('message', resolve) })
flush()
process.disconnect()
`

t.test('when nobody reads the log what is held is bounded, and what was dropped is told of once it is read again', async t => {
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '--eval', program], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  t.teardown(() => child.kill())
  const [residentBytes] = await once(child, 'message') as [number]
  t.ok(residentBytes < 400 * 2 ** 20, `${Math.round(residentBytes / 2 ** 20)} MiB`)

  const numbers: number[] = []
  let dropped = 0
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const { number, code, lines } = JSON.parse(line) as { number?: number, code?: string, lines?: number }
    if (number !== undefined) numbers.push(number)
    if (code !== 'log_lines_dropped') continue
    dropped += lines as number
    child.send('enough')
  }

  t.ok(dropped > 0, 'more was written than is held')
  t.equal(numbers.length + dropped, sent, 'every line was read or counted')
  t.same(numbers, numbers.map((_, index) => index), 'the first ones, in order')
})
