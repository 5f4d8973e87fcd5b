/** Request content on its way through transformations, before the cache key is made. */
import { Readable } from 'node:stream'
import { copyFields, type FieldMap } from '../http/fields.ts'
import { collect, throughStream, type HeldBytes } from './content.ts'
import { inTime } from './deadline.ts'
import { applyFields, TransformError, type Registered, type RequestHead, type RequestTransform } from './transform.ts'

export interface TransformedRequest {
  /** Null when nothing was done to it, and it was not opened. */
  readonly content: Readable | null
  /** Fields to be set, or removed where undefined. */
  readonly changes: FieldMap
}

/** No longer true of other bytes. */
const aboutBytes = ['content-length', 'transfer-encoding', 'content-md5', 'digest', 'content-digest', 'repr-digest'] as const

/**
 * Calls back once. After an error nobody reads the content.
 * @param open takes over the content; called once, when a transformation is for it
 */
export function transformRequest (transforms: ReadonlyArray<Registered<RequestTransform>>, head: RequestHead, open: () => Readable, held: HeldBytes, done: (error: Error | null, transformed?: TransformedRequest) => void): void {
  let content: Readable | null = null
  const fields = copyFields(head.fields)
  const changed = new Set<string>()
  run(0)

  function run (from: number): void {
    for (let i = from; i < transforms.length; i++) {
      const { transform, timeoutMs } = transforms[i] as Registered<RequestTransform>
      const now: RequestHead = { ...head, fields: { ...fields } }
      try {
        if (!transform.when(now)) continue
        content ??= open()
        change(transform.fields?.(now) ?? {})
        if ('stream' in transform) content = throughStream(transform.name, timeoutMs, content, pieces => transform.stream(pieces, now))
      } catch (error) {
        return fail(transform, error)
      }
      if ('whole' in transform) return collected(i, transform, timeoutMs, now, content)
    }
    done(null, { content, changes: Object.fromEntries([...changed].map(name => [name, fields[name]])) })
  }

  function change (written: Readonly<Record<string, string | null>>): void {
    applyFields(fields, written)
    for (const name of aboutBytes) delete fields[name]
    for (const name of [...aboutBytes, ...Object.keys(written)]) changed.add(name.toLowerCase())
  }

  function collected (i: number, transform: Extract<RequestTransform, { whole: unknown }>, timeoutMs: number, now: RequestHead, source: Readable): void {
    collect(source, transform.maxBytes, held, result => {
      if (result.kind === 'failed') return done(result.error)
      if (result.kind === 'busy') return done(new TransformError('transform_busy', transform.name))
      if (result.kind === 'larger') {
        result.content.on('error', () => {}).destroy()
        return done(new TransformError('transform_too_large', transform.name))
      }
      const made = (output: unknown): void => {
        result.release()
        if (typeof output !== 'string' && !Buffer.isBuffer(output)) return fail(transform, new TypeError('a transformation gives a Buffer or text'))
        const bytes = typeof output === 'string' ? Buffer.from(output) : output
        content = Readable.from([bytes], { objectMode: false })
        fields['content-length'] = String(bytes.length)
        run(i + 1)
      }
      const failed = (error: unknown): void => {
        result.release()
        fail(transform, error)
      }
      let output: unknown
      try {
        output = transform.whole(result.content, now)
      } catch (error) {
        return failed(error)
      }
      if (output instanceof Promise) inTime(transform.name, timeoutMs, output).then(made, failed)
      else made(output)
    })
  }

  function fail (transform: RequestTransform, error: unknown): void {
    content?.on('error', () => {}).destroy()
    done(error instanceof TransformError ? error : new TransformError('transform_failed', transform.name, error))
  }
}
