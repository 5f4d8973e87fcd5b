/**
 * `npm run bench:memory`: what a stored response costs in memory, whether `maxBytes` bounds it, how long the event loop stands
 * still with 2 GB stored, and whether lookups stay as fast as the store grows.
 *
 * `npm run bench:memory -- objects bound pauses lookup` chooses sections, all by default. `OBJECTS` (1000000) are stored of
 * 1 KiB each, `PEER_OBJECTS` (200000) by the other caches. Every subject has a process of its own, with a young generation of
 * `SEMI_SPACE` (16) MiB. Resident memory is read before and after, with and without a garbage collection asked for.
 */
import { fork } from 'node:child_process'
import { cpus, totalmem } from 'node:os'
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import { createSubject, ownBytes, subjectNames, type Subject, type SubjectName } from './memory-subjects.ts'

const objects = Number(process.env['OBJECTS'] ?? 1_000_000)
const peerObjects = Number(process.env['PEER_OBJECTS'] ?? 200_000)
const kibibyte = 1024
const unbounded = 2 ** 40
/** MiB for V8's young generation, of which it takes three: by default it may take some hundred, which are no matter of the store. */
const semiSpace = Number(process.env['SEMI_SPACE'] ?? 16)

interface Memory { readonly used: number, readonly rss: number }
type Result = Readonly<Record<string, number>>

const pause = (ms: number): Promise<void> => new Promise(resolve => { setTimeout(resolve, ms) })
/** A turn of the event loop every so often, as requests have it. */
const turnEvery = 100

function memory (): Memory {
  const { heapUsed, external, rss } = process.memoryUsage()
  return { used: heapUsed + external, rss }
}

async function collected (): Promise<Memory> {
  // What was freed goes back to the system a little later, by other threads.
  for (let times = 0; times < 3; times++) {
    globalThis.gc?.()
    await pause(200)
  }
  return memory()
}

async function storeFrom (subject: Subject, first: number, count: number, peak = { rss: 0 }): Promise<void> {
  for (let i = 0; i < count; i++) {
    subject.store(first + i)
    if (i % turnEvery !== 0) continue
    await new Promise(resolve => { setImmediate(resolve) })
    if (i % (100 * turnEvery) === 0) peak.rss = Math.max(peak.rss, process.memoryUsage.rss())
  }
}

/** Code compiled and its own memory taken, so that what follows is the stored responses'. */
async function warmUp (name: SubjectName, contentBytes: number): Promise<void> {
  const subject = createSubject(name, contentBytes, unbounded)
  await storeFrom(subject, 0, Math.min(20_000, Math.ceil(2 ** 26 / contentBytes)))
}

async function measureObjects (name: SubjectName, contentBytes: number, count: number): Promise<Result> {
  await warmUp(name, contentBytes)
  const before = await collected()
  const subject = createSubject(name, contentBytes, unbounded)
  await storeFrom(subject, 0, count)
  const after = await collected()
  if (!subject.find(0)) throw new Error(`${name} has not kept what was stored`)
  return { count, own: ownBytes(contentBytes), used: (after.used - before.used) / count, rss: (after.rss - before.rss) / count, counted: (subject.counted() ?? 0) / count }
}

/** @param lookups for each stored response, of those of late: what was found is left to the garbage collector when it goes */
async function measureBound (name: SubjectName, contentBytes: number, maxBytes: number, stored: number, lookups: number): Promise<Result> {
  await warmUp(name, contentBytes)
  const before = await collected()
  const subject = createSubject(name, contentBytes, maxBytes)
  const peak = { rss: 0 }
  await storeFrom(lookups === 0 ? subject : alsoRead(subject, lookups), 0, stored, peak)
  const counted = subject.counted() ?? 0
  const entries = subject.entries()
  const now = memory()
  const after = await collected()
  return { stored, entries, maxBytes, counted, now: now.rss - before.rss, peak: peak.rss - before.rss, after: after.rss - before.rss, used: after.used - before.used }
}

function alsoRead (subject: Subject, lookups: number): Subject {
  let random = 1
  let due = 0
  return {
    ...subject,
    store (number) {
      subject.store(number)
      for (due += lookups; due >= 1; due--) {
        random = Math.imul(random, 1664525) + 1013904223 | 0
        subject.find(Math.max(0, number - (random >>> 0) % subject.entries()))
      }
    }
  }
}

/** Lookups and stores with evictions go on, a few to each turn, while the event loop is watched. */
async function measurePauses (name: SubjectName, contentBytes: number, maxBytes: number): Promise<Result> {
  let longestCollection = 0
  let collections = 0
  new PerformanceObserver(list => {
    for (const { duration } of list.getEntries()) {
      collections++
      longestCollection = Math.max(longestCollection, duration)
    }
  }).observe({ entryTypes: ['gc'] })
  const subject = createSubject(name, contentBytes, maxBytes)
  let number = 0
  let lastBytes = -1
  while ((subject.counted() ?? 0) > lastBytes) {
    lastBytes = subject.counted() ?? 0
    await storeFrom(subject, number, 100 * turnEvery)
    number += 100 * turnEvery
  }
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await pause(1000)
  const idle = delay.max
  delay.reset()
  longestCollection = collections = 0
  const until = performance.now() + 20_000
  let operations = 0
  for (let random = 1; performance.now() < until; operations += 10) {
    for (let i = 0; i < 9; i++) {
      random = Math.imul(random, 1664525) + 1013904223 | 0
      subject.find(number - 1 - (random >>> 0) % subject.entries())
    }
    subject.store(number++)
    await new Promise(resolve => { setImmediate(resolve) })
  }
  await pause(50)
  delay.disable()
  return { entries: subject.entries(), bytes: subject.counted() ?? 0, operations, idle: idle / 1e6, median: delay.percentile(50) / 1e6, high: delay.percentile(99.9) / 1e6, longest: delay.max / 1e6, collections, longestCollection }
}

/** Median of batches of lookups of what is there, at random, in nanoseconds of this process's own time. */
async function measureLookup (name: SubjectName, counts: readonly number[]): Promise<Result> {
  const batch = 20_000
  const results: Record<string, number> = {}
  for (const count of counts) {
    const subject = createSubject(name, kibibyte, unbounded)
    await storeFrom(subject, 0, count)
    await collected()
    const times: number[] = []
    let random = 1
    for (let round = 0; round < 11; round++) {
      const { user } = process.threadCpuUsage()
      for (let i = 0; i < batch; i++) {
        random = Math.imul(random, 1664525) + 1013904223 | 0
        if (!subject.find((random >>> 0) % count)) throw new Error('not found')
      }
      times.push((process.threadCpuUsage().user - user) * 1000 / batch)
    }
    results[String(count)] = times.sort((a, b) => a - b)[5] as number
  }
  return results
}

const measures = { objects: measureObjects, bound: measureBound, pauses: measurePauses, lookup: measureLookup }
type Section = keyof typeof measures

/** Measures in a process of its own. */
function inChild<S extends Section> (section: S, ...args: Parameters<(typeof measures)[S]>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, ['child', section, JSON.stringify(args)], { execArgv: ['--expose-gc', '--max-old-space-size=12288', `--max-semi-space-size=${semiSpace}`, '--no-warnings'] })
    let result: Result | null = null
    child.on('message', message => { result = message as Result })
    child.on('exit', code => {
      if (result === null) reject(new Error(`${section} ${args[0]}: exit code ${code}`))
      else resolve(result)
    })
  })
}

const print = (line = ''): void => { process.stdout.write(`${line}\n`) }
const whole = (value: number | undefined): string => String(Math.round(value ?? NaN))
const ratio = (value: number | undefined, of: number | undefined): string => ((value ?? NaN) / (of ?? NaN)).toFixed(3)
const mebibytes = (value: number | undefined): string => ((value ?? NaN) / 2 ** 20).toFixed(0)

const sections: Readonly<Record<Section, () => Promise<void>>> = {
  async objects () {
    print(`\nBytes for each stored response of ${kibibyte} bytes of content; beyond: what heap and buffers hold more than content and fields\n`)
    print('| | responses | content and fields | counted | heap and buffers | beyond | resident | beyond |\n|---|---|---|---|---|---|---|---|')
    for (const name of subjectNames) {
      const { count, own, counted, used, rss } = await inChild('objects', name, kibibyte, name.startsWith('holdfast') ? objects : peerObjects)
      print(`| ${name} | ${count} | ${own} | ${whole(counted)} | ${whole(used)} | ${whole((used ?? NaN) - (own ?? NaN))} | ${whole(rss)} | ${whole((rss ?? NaN) - (own ?? NaN))} |`)
    }
  },

  async bound () {
    print('\nGrowth of resident memory by `maxBytes`: at the end, at its highest, and after a garbage collection\n')
    print('| content | stored | lookups for each | kept | maxBytes, MiB | counted | end | highest | collected | heap and buffers, collected |\n|---|---|---|---|---|---|---|---|---|---|')
    const rows: ReadonlyArray<readonly [number, number, number, number]> = [
      [kibibyte, 192 * 2 ** 20, 100_000, 0],
      [kibibyte, 192 * 2 ** 20, 1_000_000, 0],
      [kibibyte, 2 ** 30, 2_000_000, 0],
      [100 * kibibyte, 192 * 2 ** 20, 100_000, 0],
      [100 * kibibyte, 192 * 2 ** 20, 100_000, 1],
      [100 * kibibyte, 2 ** 30, 100_000, 0],
      [100 * kibibyte, 2 ** 30, 100_000, 1],
      [100 * kibibyte, 2 ** 30, 1_000_000, 0]
    ]
    for (const [contentBytes, maxBytes, stored, lookups] of rows) {
      const result = await inChild('bound', 'holdfast', contentBytes, maxBytes, stored, lookups)
      print(`| ${contentBytes} | ${stored} | ${lookups} | ${result['entries']} | ${mebibytes(maxBytes)} | ${ratio(result['counted'], maxBytes)} | ${ratio(result['now'], maxBytes)} | ${ratio(result['peak'], maxBytes)} | ${ratio(result['after'], maxBytes)} | ${ratio(result['used'], maxBytes)} |`)
    }
  },

  async pauses () {
    print('\nWith 2 GB stored, nine lookups to one store with eviction: delay of the event loop and garbage collections, ms\n')
    print('| content | responses | operations | longest at rest | median | 99.9 % | longest | collections | longest |\n|---|---|---|---|---|---|---|---|---|')
    for (const contentBytes of [kibibyte, 100 * kibibyte]) {
      const { entries, operations, idle, median, high, longest, collections, longestCollection } = await inChild('pauses', 'holdfast', contentBytes, 2e9)
      print(`| ${contentBytes} | ${entries} | ${operations} | ${[idle, median, high, longest].map(ms => ms?.toFixed(1)).join(' | ')} | ${collections} | ${longestCollection?.toFixed(1)} |`)
    }
  },

  async lookup () {
    const counts = [10, 10_000, 1_000_000]
    print(`\nLookup, nanoseconds of processor time, with so many stored\n\n| | ${counts.join(' | ')} |\n|---|---|---|---|`)
    for (const name of ['holdfast', 'undici MemoryCacheStore', 'lru-cache of Buffers'] as const) {
      const measured = name === 'undici MemoryCacheStore' ? counts.slice(0, 2) : counts
      const result = await inChild('lookup', name, measured)
      print(`| ${name} | ${counts.map(count => result[count] === undefined ? '' : whole(result[count])).join(' | ')} |`)
    }
  }
}

if (process.argv[2] === 'child') {
  const [, , , section, args] = process.argv
  const measure = measures[section as Section] as (...args: unknown[]) => Promise<Result>
  const result = await measure(...JSON.parse(args as string) as unknown[])
  process.send?.(result, () => { process.exit() })
} else {
  const chosen = process.argv.slice(2)
  const unknown = chosen.filter(name => !Object.hasOwn(sections, name))
  if (unknown.length > 0) throw new Error(`No section ${unknown.join(', ')}: ${Object.keys(sections).join(', ')}`)
  print(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, --max-semi-space-size=${semiSpace}`)
  for (const [name, run] of Object.entries(sections)) if (chosen.length === 0 || chosen.includes(name)) await run()
}
