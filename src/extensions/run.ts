/** Runs filters one after the other, keeping what goes wrong in them to the request it went wrong for. */
import type { FastifyReply } from 'fastify'
import type { FilterContext } from '../proxy/filter-context.ts'
import { closeAfterUnreadContent } from '../proxy/linger.ts'
import { ExtensionFailure } from './extension.ts'
import { noteExtensionFailure } from './note-failure.ts'
import type { BoundFilter } from './registry.ts'

/** Statuses with which a filter may refuse by throwing, as Fastify's own hooks do. */
function isRefusal (error: unknown): boolean {
  const status = (error as { statusCode?: unknown } | null)?.statusCode
  return error instanceof Error && typeof status === 'number' && status >= 400 && status < 500
}

export function failureOf (extension: string, phase: string, error: unknown): Error {
  return isRefusal(error) || error instanceof ExtensionFailure ? error as Error : new ExtensionFailure(extension, phase, 'extension_failed', error)
}

/**
 * Calls each filter with the request, and waits for it where it is asynchronous. One that answers the request ends the
 * story: `done` is not called then.
 */
export function runRequestFilters<P extends 'onRequest' | 'preHandler'> (filters: ReadonlyArray<BoundFilter<P>>, phase: P, context: FilterContext, done: (error?: Error) => void): void {
  const { reply } = context
  const isAnswered = watchSend(context)
  let i = 0
  next()

  function next (): void {
    for (;;) {
      const filter = filters[i++]
      if (filter === undefined) return finish()
      let result: unknown
      try {
        result = filter.act(context, filter.options)
      } catch (error) {
        return finish(failureOf(filter.extension.name, phase, error))
      }
      if (isAnswered()) return finish()
      if (isThenable(result)) return waitFor(filter, result)
    }
  }

  function waitFor (filter: BoundFilter<P>, result: PromiseLike<unknown>): void {
    const { name, timeoutMs } = filter.extension
    let settled = false
    const settle = (act: () => void): void => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      act()
    }
    const timer = timeoutMs === 0
      ? undefined
      : setTimeout(() => { settle(() => { finish(new ExtensionFailure(name, phase, 'extension_timeout', new Error(`no answer within ${timeoutMs} ms`))) }) }, timeoutMs)
    result.then(
      () => { settle(() => { if (isAnswered()) finish(); else next() }) },
      (error: unknown) => { settle(() => { finish(failureOf(name, phase, error)) }) }
    )
  }

  function finish (error?: Error): void {
    // An answer that was given stays the answer, whatever came after it.
    if (isAnswered()) {
      if (error instanceof ExtensionFailure) noteExtensionFailure(context.request, error)
      return
    }
    delete (reply as { send?: unknown }).send
    if (error === undefined) done()
    else done(error)
  }
}

/** Notices an answer at once: with asynchronous `onSend` hooks, `reply.sent` only tells it later. */
function watchSend ({ request, reply }: FilterContext): () => boolean {
  let answered = false
  const { send } = reply
  reply.send = function (this: FastifyReply, ...payload) {
    answered = true
    closeAfterUnreadContent(request, this, isStream(payload[0]))
    delete (reply as { send?: unknown }).send
    return send.apply(reply, payload)
  }
  return () => answered || reply.sent
}

/** Node's, a web stream, or a `Response` of one: it may be made of the request's content. */
function isStream (payload: unknown): boolean {
  return typeof payload === 'object' && payload !== null && ('pipe' in payload || 'getReader' in payload || payload instanceof Response)
}

export function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function' && typeof value === 'object'
}

/** Calls each filter of a response phase; throws an `ExtensionFailure`. */
export function runResponseFilters<P extends 'beforeStoring' | 'beforeSending' | 'onEnd'> (filters: ReadonlyArray<BoundFilter<P>>, phase: P, call: (filter: BoundFilter<P>) => unknown): void {
  for (const filter of filters) {
    let result: unknown
    try {
      result = call(filter)
    } catch (error) {
      throw new ExtensionFailure(filter.extension.name, phase, 'extension_failed', error)
    }
    if (isThenable(result)) {
      result.then(undefined, () => {})
      throw new ExtensionFailure(filter.extension.name, phase, 'extension_failed', new TypeError(`a filter in ${phase} cannot wait for anything: it must not be asynchronous`))
    }
  }
}
