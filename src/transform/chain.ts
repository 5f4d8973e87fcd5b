/**
 * A response on its way through transformations. They change the content and say so; that the head is true of what comes out
 * (length, digests, ranges, coding, entity tag) is seen to here.
 */
import type { Readable } from 'node:stream'
import { Readable as ReadableStream } from 'node:stream'
import { copyFields, fieldValue, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import { collect, throughStream, type HeldBytes } from './content.ts'
import { forgetBytes, mayTransform } from './eligible.ts'
import { inTime } from './deadline.ts'
import { markedTag } from './entity-tags.ts'
import { applyFields, idOf, TransformError, type Registered, type ResponseHead, type ResponseTransform } from './transform.ts'

/** One transformation, made ready. */
export interface Step {
  /** In entity tags. */
  readonly id: string
  readonly name: string
  /** Of responses whose content a part of must not pass untransformed. */
  readonly wholeOnly: boolean
  when (head: ResponseHead): boolean
  /** What is said of every response that passes here, transformed or not. */
  note? (statusCode: number, fields: MutableFieldMap): void
  change (fields: MutableFieldMap, head: ResponseHead): void
  readonly content: StreamedStep | WholeStep
}

interface StreamedStep { readonly kind: 'stream', readonly through: (content: Readable, head: ResponseHead) => Readable }
interface WholeStep {
  readonly kind: 'whole'
  readonly maxBytes: number
  readonly aboveMax: 'pass' | 'fail'
  readonly make: (content: Buffer, head: ResponseHead) => unknown
}

export interface Transformed {
  readonly fields: MutableFieldMap
  /** Null where there was none. */
  readonly body: Readable | null
}

export type TransformCallback = (error: Error | null, transformed?: Transformed) => void

/** A registered transformation as a step. */
export function stepOf ({ transform, timeoutMs }: Registered<ResponseTransform>): Step {
  const { name } = transform
  return {
    id: idOf(transform),
    name,
    wholeOnly: true,
    when: head => transform.when(head),
    change (fields, head) { if (transform.fields !== undefined) applyFields(fields, transform.fields(head)) },
    content: 'whole' in transform
      ? { kind: 'whole', maxBytes: transform.maxBytes, aboveMax: transform.aboveMax ?? 'fail', make: (content, head) => bounded(name, timeoutMs, transform.whole(content, head)) }
      : { kind: 'stream', through: (content, head) => throughStream(name, timeoutMs, content, pieces => transform.stream(pieces, head)) }
  }
}

function bounded (name: string, timeoutMs: number, output: unknown): unknown {
  return output instanceof Promise ? inTime(name, timeoutMs, output) : output
}

/**
 * Calls back once: at once, unless content has to be collected first. After an error nobody reads the body.
 * @param body null for a head alone, which then says what it would say beside its content
 */
export function transformResponse (steps: readonly Step[], head: ResponseHead, body: Readable | null, held: HeldBytes, done: TransformCallback): void {
  const ids: string[] = []
  run(0, copyFields(head.fields), body)

  function run (from: number, fields: MutableFieldMap, content: Readable | null): void {
    for (let i = from; i < steps.length; i++) {
      const step = steps[i] as Step
      let next: MutableFieldMap
      const now = { ...head, fields }
      try {
        step.note?.(head.statusCode, fields)
        if (!mayTransform(head.statusCode, fields) || !step.when(now)) continue
        next = copyFields(fields)
        forgetBytes(next)
        step.change(next, now)
        if (step.content.kind === 'stream' && content !== null) content = step.content.through(content, now)
      } catch (error) {
        return fail(step, error, content)
      }
      if (step.content.kind === 'whole') {
        if (content !== null) return collected(i, step, step.content, now, next, content)
        // What is announced to be too large passes; of what is not announced that is not known.
        if (step.content.aboveMax === 'pass' && Number(fieldValue(fields, 'content-length') ?? 0) > step.content.maxBytes) continue
      }
      ids.push(step.id)
      fields = next
    }
    finish(fields, content)
  }

  function collected (i: number, step: Step, { maxBytes, aboveMax, make }: WholeStep, now: ResponseHead, next: MutableFieldMap, content: Readable): void {
    collect(content, maxBytes, held, result => {
      if (result.kind === 'failed') return done(result.error)
      if (result.kind === 'busy') return done(new TransformError('transform_busy', step.name))
      if (result.kind === 'larger') {
        if (aboveMax === 'pass') return run(i + 1, now.fields as MutableFieldMap, result.content)
        result.content.destroy()
        return done(new TransformError('transform_too_large', step.name))
      }
      const made = (output: unknown): void => {
        result.release()
        if (typeof output !== 'string' && !Buffer.isBuffer(output)) return fail(step, new TypeError('a transformation gives a Buffer or text'), null)
        const bytes = typeof output === 'string' ? Buffer.from(output) : output
        next['content-length'] = String(bytes.length)
        ids.push(step.id)
        run(i + 1, next, ReadableStream.from([bytes], { objectMode: false }))
      }
      const failed = (error: unknown): void => {
        result.release()
        fail(step, error, null)
      }
      let output: unknown
      try {
        output = make(result.content, now)
      } catch (error) {
        return failed(error)
      }
      if (output instanceof Promise) output.then(made, failed)
      else made(output)
    })
  }

  function finish (fields: MutableFieldMap, content: Readable | null): void {
    if (ids.length > 0) {
      const tag = markedTag(fieldValue(fields, 'etag'), ids)
      if (tag === undefined) delete fields['etag']
      else fields['etag'] = tag
    }
    done(null, { fields, body: content })
  }

  function fail (step: Step, error: unknown, content: Readable | null): void {
    content?.on('error', () => {}).destroy()
    done(error instanceof TransformError ? error : new TransformError('transform_failed', step.name, error))
  }
}

/** Whether a part of such a content must not pass, because the whole would be transformed. */
export function mustBeWhole (steps: readonly Step[], head: ResponseHead): boolean {
  if (!steps.some(({ wholeOnly }) => wholeOnly)) return false
  // Several parts in one message do not say what they are parts of.
  if (fieldValue(head.fields, 'content-type')?.toLowerCase().startsWith('multipart/byteranges') === true) return true
  const { 'content-range': _range, ...fields } = head.fields as Record<string, string | readonly string[] | undefined>
  const whole = { ...head, statusCode: 200, fields: fields as FieldMap }
  return mayTransform(200, whole.fields) && steps.some(step => step.wholeOnly && step.when(whole))
}
