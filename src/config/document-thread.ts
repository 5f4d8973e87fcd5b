/** What runs in the thread of `read-apart.ts`. */
import { parentPort, workerData } from 'node:worker_threads'
import { readDocument } from './document.ts'
import type { Environment } from './environment.ts'

const { text, env } = workerData as { readonly text: string, readonly env: Environment }
parentPort?.postMessage(readDocument(text, env))
