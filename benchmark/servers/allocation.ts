/**
 * Loaded before a server under test (`node --import`): on SIGUSR2 it begins to sample what is allocated, on the next one it
 * writes to the file that `ALLOCATION_FILE` names how many bytes each function has allocated since, as JSON. What was
 * collected in between counts as well.
 */
import { Session } from 'node:inspector'
import { basename } from 'node:path'
import { tellOnSignal } from '../lib/telling.ts'

/** Bytes by function. */
export type Allocated = Readonly<Record<string, number>>

interface SamplingNode {
  readonly callFrame: { readonly functionName: string, readonly url: string }
  readonly selfSize: number
  readonly children: readonly SamplingNode[]
}

/** One sample in so many bytes, on average. */
const samplingInterval = 4096
const session = new Session()
session.connect()
let isSampling = false

/** What is posted to the thread it comes from has been answered when this returns. */
function ask (method: string, parameters: object): unknown {
  let answer: unknown
  session.post(method, parameters, (error: Error | null, result: unknown) => {
    if (error !== null) throw error
    answer = result
  })
  return answer
}

function tell (): Allocated {
  isSampling = !isSampling
  if (isSampling) {
    ask('HeapProfiler.startSampling', { samplingInterval, includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true })
    return {}
  }
  const bytes: Record<string, number> = {}
  const open = [(ask('HeapProfiler.stopSampling', {}) as { readonly profile: { readonly head: SamplingNode } }).profile.head]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const { functionName, url } = node.callFrame
    const name = `${functionName === '' ? '(anonymous)' : functionName} in ${url.startsWith('node:') ? url : url === '' ? 'V8' : basename(url)}`
    if (node.selfSize > 0) bytes[name] = (bytes[name] ?? 0) + node.selfSize
    open.push(...node.children)
  }
  return bytes
}

tellOnSignal(process.env['ALLOCATION_FILE'] as string, tell)
