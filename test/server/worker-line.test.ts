/** What the primary asks of one worker, and what it hears when there is no answer. */
import t from 'tap'
import type { Unavailable } from '../../src/admin/request-error.ts'
import { createWorkerLine, type WorkerLine } from '../../src/server/worker-line.ts'
import type { Asked, ToWorker } from '../../src/server/worker-messages.ts'

/** A worker that takes nothing until it is told to, and a line to it. */
function createFakeWorker (limits: Partial<Parameters<typeof createWorkerLine>[1]> = {}) {
  const sent: ToWorker[] = []
  const signals: string[] = []
  const taken: Array<(error: Error | null) => void> = []
  const worker = {
    process: { pid: 7, kill (signal: string) { signals.push(signal) } },
    send (message: ToWorker, done: (error: Error | null) => void) {
      sent.push(message)
      taken.push(done)
    }
  }
  const line = createWorkerLine(worker as never, { answerMs: 60_000, purgeMs: 60_000, maxWaiting: 1000, ...limits })
  return { line, sent, taken, signals, questions: () => sent.filter(message => 'question' in message) as Asked[] }
}

/** What was sent, after it had the chance. */
const settled = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })

function start (line: WorkerLine): void {
  line.open()
  line.start()
}

const codeOf = (asking: Promise<unknown>): Promise<string> => asking.then(() => 'answered', (error: Unavailable) => error.code)

t.test('what was invalidated goes to a worker that is starting, what is asked waits until it has started, in order', async t => {
  const { line, sent, questions } = createFakeWorker()
  const asking = [line.ask('state'), line.ask('purge', { all: true })]
  line.invalidated.add(null)
  line.open()
  await settled()
  t.same(sent, [{ invalidated: null }])
  t.equal(line.isStarted, false)

  line.start()
  await settled()
  t.equal(line.isStarted, true)
  t.same(questions().map(({ question, detail }) => [question, detail]), [['state', undefined], ['purge', { all: true }]])
  for (const { id, question } of questions().reverse()) line.answered({ id, answer: question })
  t.same(await Promise.all(asking), ['state', 'purge'])
})

t.test('who asks a worker that takes too long to start is told so, and the worker does not hear of it later', async t => {
  const { line, questions } = createFakeWorker({ answerMs: 5 })
  line.open()
  await t.rejects(line.ask('entries'), { code: 'workers_silent', message: 'worker 7 is still starting' })
  await t.rejects(line.ask('reload'), { code: 'workers_silent' })
  await t.rejects(line.ask('reload'), { code: 'workers_silent' })
  const purging = line.ask('purge')
  line.start()
  await settled()
  t.same(questions().map(({ question }) => question), ['purge', 'reload'], 'or it would go on with the configuration it read before')
  line.answered({ id: questions()[0]?.id as number, answer: 'purged' })
  t.equal(await purging, 'purged')
  await t.rejects(line.ask('entries'), { code: 'workers_silent', message: 'worker 7 did not answer' })
})

t.test('as much waits for a worker as may: further questions are refused at once, until some are answered', async t => {
  const { line, questions, taken } = createFakeWorker({ maxWaiting: 3 })
  const asking = [1, 2, 3].map(() => line.ask('state'))
  await t.rejects(line.ask('state'), { code: 'too_busy', message: 'worker 7 has too much to answer' })
  start(line)
  await settled()
  await t.rejects(line.ask('state'), { code: 'too_busy' })
  for (const { id } of questions()) line.answered({ id })
  await Promise.all(asking)
  await t.rejects(line.ask('state'), { code: 'too_busy' }, 'answered or not, they are still to be taken')

  for (const done of taken.splice(0)) done(null)
  const last = line.ask('state')
  await settled()
  line.answered({ id: questions().at(-1)?.id as number })
  await last
})

t.test('nobody waits for a worker that is gone: neither who asked before it started nor who asks later', async t => {
  for (const isStarted of [false, true]) {
    const { line } = createFakeWorker()
    if (isStarted) start(line)
    const asking = codeOf(line.ask('purge'))
    line.close()
    t.equal(await asking, 'workers_silent')
  }
  const { line, taken } = createFakeWorker()
  start(line)
  const asking = codeOf(line.ask('state'))
  await settled()
  taken[0]?.(new Error('channel closed'))
  t.equal(await asking, 'workers_silent')
})

t.test('a worker that is starting is ended by a signal; one that has started is told, however much it has to answer', async t => {
  const starting = createFakeWorker()
  starting.line.end()
  t.same(starting.signals, ['SIGTERM'])

  const { line, signals, questions } = createFakeWorker({ maxWaiting: 1 })
  start(line)
  const asking = codeOf(line.ask('state'))
  line.end()
  await settled()
  t.same(signals, [])
  t.same(questions().map(({ question }) => question), ['state', 'drain'])
  line.close()
  await asking
})
