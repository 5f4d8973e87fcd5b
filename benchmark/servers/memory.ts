/** An extension that says what the process holds, after a collection: what is left then is held by something. */
import type { FastifyInstance } from 'fastify'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { tellOnSignal } from '../lib/telling.ts'

export interface Held { readonly heapBytes: number, readonly bufferBytes: number }

export default function memory (app: FastifyInstance, { file }: { readonly file: string }): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const end = tellOnSignal(file, (): Held => {
    collect()
    // Buffers go when their owners are found dead, so with the next one.
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return { heapBytes: heapUsed, bufferBytes: arrayBuffers }
  })
  app.addHook('onClose', async () => { end() })
}
