/**
 * Reads a large configuration in a thread of its own. YAML is parsed in one go, which takes about half a millisecond a
 * KiB; the thread costs some milliseconds here, and a few hundred of another core.
 */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { readDocument, type ConfigDocument } from './document.ts'
import type { Environment } from './environment.ts'

/** Texts up to this many characters are read here and now. */
const largestHere = 16_384

/** As `readDocument`. Rejects where there can be no thread. */
export function readApart (text: string, env: Environment): Promise<ConfigDocument> {
  if (text.length <= largestHere) return Promise.resolve(readDocument(text, env))

  // It is named as this file is: `.ts` in a checkout, `.js` in the package.
  const file = new URL(`./document-thread${extname(import.meta.url)}`, import.meta.url)
  const thread = new Worker(file, { workerData: { text, env: { ...env } } })
  return new Promise((resolve, reject) => {
    thread.once('message', resolve)
    thread.once('error', reject)
    thread.once('exit', code => { reject(new Error(`the thread that reads the configuration ended with ${code}`)) })
  })
}
