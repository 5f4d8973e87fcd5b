/** What the store counts is what the process holds: in a process of its own, in bytes that are reachable, after collections. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'

interface Held {
  readonly entries: number
  readonly counted: number
  readonly filled: number
  readonly turnedOver: number
  /** Share of those asked for again and again that is still there when large ones have come. */
  readonly stayed: number
  readonly shifted: number
}

// The second process compiles everything once more, on a machine that may be busy.
t.setTimeout(180_000)

async function held (contentBytes: number, maxBytes: number, turnovers: number): Promise<Held> {
  const child = fork(join(import.meta.dirname, '../fixtures/store-memory.ts'), [contentBytes, maxBytes, turnovers].map(String), { execArgv: ['--expose-gc', '--no-warnings'] })
  const [message] = await once(child, 'message') as [Held]
  await once(child, 'exit')
  return message
}

t.test('counted bytes are those that are held, for small responses, also after everything has left several times', async (t) => {
  const maxBytes = 12 * 2 ** 20
  const { entries, counted, filled, turnedOver } = await held(1024, maxBytes, 4)

  t.ok(counted <= maxBytes && counted > maxBytes * 0.9, `${counted} counted`)
  t.ok(entries > 6000, `${entries} entries`)
  for (const [when, bytes] of Object.entries({ filled, turnedOver })) {
    t.ok(bytes < maxBytes * 1.1, `${when}: ${bytes} held, ${maxBytes} allowed`)
    t.ok(bytes > counted * 0.85, `${when}: ${bytes} held, ${counted} counted`)
  }
})

t.test('small responses give way to large ones: what they were in does not stay beside those, although some of them do', async (t) => {
  const maxBytes = 24 * 2 ** 20
  const { stayed, shifted } = await held(1024, maxBytes, 2)
  t.ok(stayed > 0.9, `${stayed} of those asked for have stayed`)
  t.ok(shifted < maxBytes * 1.15, `${shifted} held, ${maxBytes} allowed`)
})

t.test('counted bytes are those that are held, for large responses', async (t) => {
  const maxBytes = 48 * 2 ** 20
  const { counted, filled, turnedOver } = await held(100 * 1024, maxBytes, 6)

  t.ok(counted <= maxBytes && counted > maxBytes * 0.9, `${counted} counted`)
  for (const [when, bytes] of Object.entries({ filled, turnedOver })) {
    t.ok(bytes < maxBytes * 1.05, `${when}: ${bytes} held, ${maxBytes} allowed`)
    t.ok(bytes > counted * 0.95, `${when}: ${bytes} held, ${counted} counted`)
  }
})
