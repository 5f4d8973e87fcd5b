import pino from 'pino'
import t from 'tap'
import { createAccessLog, type AccessLog, type AccessRecord } from '../../src/observe/access-record.ts'

const record: AccessRecord = { reqId: 'a-1', method: 'GET', path: '/article', route: 'all', status: 200, cache: 'hit', client: '192.0.2.1', http: '1.1', durationMs: 1.25, bytes: 10 }

/** A log, and the records that come of its lines. */
function createLog (): { log: AccessLog, written: () => object[] } {
  const lines: string[] = []
  const logger = pino({ base: null, timestamp: false }, { write: (line: string) => { lines.push(line) } })
  return {
    log: createAccessLog(logger),
    written: () => lines.splice(0).map(line => {
      const { level: _level, msg: _message, ...rest } = JSON.parse(line) as Record<string, unknown>
      return rest
    })
  }
}

t.test('what is written of a record is what it says, whatever its texts are of', async (t) => {
  const { log, written } = createLog()
  const ends = ['', '"', '\\', '\n', '\u001f', '\u007f', 'é', '\ud800', '"'.repeat(3)]
  const records = ends.flatMap(end => [1, 62, 63, 64, 65, 200].map(length => ({ ...record, path: `/${'a'.repeat(length)}${end}`, client: `client-${end}`, reqId: end })))

  for (const one of records) log(one)

  t.strictSame(written(), records)
})

t.test('records that are alike but for one member are told apart', async (t) => {
  const { log, written } = createLog()
  const others: ReadonlyArray<Partial<AccessRecord>> = [
    { method: 'HEAD' }, { path: '/other' }, { route: 'other' }, { status: 304 }, { cache: 'miss' }, { client: '192.0.2.2' }, { http: '2.0' }, { bytes: 0 }, { durationMs: 0 }
  ]
  const records = others.flatMap(other => [record, { ...record, ...other }, record])

  for (const one of records) log(one)

  t.strictSame(written(), records)
})

t.test('more clients than are remembered have lines of their own', async (t) => {
  const { log, written } = createLog()
  const records = Array.from({ length: 3000 }, (_, i) => ({ ...record, client: `192.0.${i >> 8}.${i & 255}` }))

  for (const one of [...records, ...records]) log(one)

  t.strictSame(written(), [...records, ...records])
})
