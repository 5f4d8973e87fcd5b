/** One attempt at one target: the handler that undici calls, and the deadlines. */
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { UpstreamConfig } from '../config/schema.ts'
import { classify } from './classify.ts'
import type { Connection } from './connection.ts'
import { UpstreamError, type Exchange, type UpstreamErrorCode, type UpstreamResponse } from './exchange.ts'
import type { Target } from './target.ts'

export interface AttemptInput {
  readonly exchange: Exchange
  readonly config: UpstreamConfig
  readonly target: Target
  readonly connection: Connection
  /** Milliseconds left until the response head must have come, 0 for no limit. */
  readonly firstByteMs: number
  /** The connection has nothing on it any more; `broken` when the exchange did not end well. */
  readonly onReleased: (broken: boolean) => void
  readonly onResponse: (response: UpstreamResponse) => void
  /** Before the head; `reused` tells whether the failed socket had served before. */
  readonly onFailed: (error: UpstreamError, reused: boolean) => void
  /** After the head: the body was cut short. */
  readonly onCutShort: (error: UpstreamError) => void
}

export interface Attempt { abort (code: UpstreamErrorCode): void }

const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
// What Node refuses to write, and what a smuggler would like us to.
const fieldContent = /^[\t\x20-\x7e\x80-\xff]*$/

export function startAttempt (input: AttemptInput): Attempt {
  const { exchange, config, target, connection } = input
  const betweenBytesMs = exchange.betweenBytesMs ?? config.timeouts.betweenBytes
  let abort: ((error?: Error) => void) | null = null
  let resume: () => void = () => {}
  let body: Readable | null = null
  let paused = false
  let over = false
  let failure: UpstreamError | null = null
  let reused = false
  let timer: NodeJS.Timeout | null = input.firstByteMs > 0 ? setTimeout(() => { fail('upstream_first_byte_timeout') }, input.firstByteMs) : null

  function fail (code: UpstreamErrorCode, cause?: unknown): void {
    if (over) return
    failure ??= new UpstreamError(code, target.origin, cause)
    // undici answers with `onError`; before it has connected the request there is nothing to abort yet.
    if (abort !== null) abort(failure)
    else settle(failure)
  }

  function settle (error: UpstreamError | null): void {
    if (over) return
    over = true
    if (timer !== null) clearTimeout(timer)
    input.onReleased(error !== null)
    if (body === null) {
      input.onFailed(error as UpstreamError, reused)
    } else if (error === null) {
      body.push(null)
    } else {
      input.onCutShort(error)
      body.destroy(error)
    }
  }

  function watchSilence (): void {
    if (timer !== null) clearTimeout(timer)
    timer = betweenBytesMs === 0
      ? null
      : setTimeout(() => {
        // A client that does not read is not the origin server's silence.
        if (paused) timer?.refresh()
        else fail('upstream_between_bytes_timeout')
      }, betweenBytesMs)
  }

  const handler: Dispatcher.DispatchHandler = {
    onConnect (abortRequest) {
      abort = abortRequest
      connection.awaitingHead = true
      reused = ++connection.uses > 1
      if (failure !== null) abortRequest(failure)
    },

    onBodySent () {
      // While content goes out the origin server is not expected to answer.
      if (body === null) timer?.refresh()
    },

    onHeaders (statusCode, rawLines, resumeSocket) {
      const lines = decodeLines(rawLines)
      if (statusCode < 200) {
        if (lines !== null && statusCode !== 101) exchange.onInformation?.(statusCode, lines)
        connection.awaitingHead = true
        return true
      }
      if (statusCode > 599 || lines === null) {
        fail('upstream_bad_response')
        return true
      }
      resume = resumeSocket
      body = new Readable({
        highWaterMark: bodyBufferBytes,
        read () {
          if (!paused) return
          paused = false
          timer?.refresh()
          resume()
        },
        destroy (error, done) {
          if (!over) {
            failure ??= error instanceof UpstreamError ? error : new UpstreamError('cancelled', target.origin)
            abort?.(failure)
          }
          done(error)
        }
      })
      watchSilence()
      input.onResponse({ statusCode, lines, body, target: target.origin, reused })
      return !paused
    },

    onData (chunk) {
      timer?.refresh()
      if (body !== null && !body.destroyed && !body.push(chunk)) paused = true
      return !paused
    },

    onComplete () { settle(null) },

    onError (error) {
      if (failure === null && exchange.body !== null && exchange.body.errored !== null) failure = new UpstreamError('client_body_failed', target.origin, error)
      settle(failure ?? classify(error, target.origin))
    }
  }

  connection.client.dispatch({
    origin: target.origin,
    path: exchange.path,
    method: exchange.method as Dispatcher.HttpMethod,
    headers: fieldsFor(exchange, config, target),
    body: exchange.body,
    servername: target.serverName,
    // A retry is ours to decide.
    idempotent: false,
    blocking: false
  } as Dispatcher.DispatchOptions, handler)

  return { abort: fail }
}

/** Held between socket and client: with the socket's own buffers well below the bound per slow reader. */
const bodyBufferBytes = 64 * 1024

function fieldsFor (exchange: Exchange, config: UpstreamConfig, target: Target): Record<string, string | string[]> {
  const rule = exchange.host ?? config.host
  const host = rule === 'upstream' ? target.authority : rule === 'client' ? exchange.clientAuthority || target.authority : rule
  // Without a prototype: a field may be called anything.
  return Object.assign(Object.create(null), { host }, exchange.fields)
}

/** One character per octet; null when a line cannot be passed on. */
function decodeLines (raw: readonly (Buffer | string)[] | null): string[] | null {
  if (raw === null) return []
  const lines: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = text(raw[i] as Buffer | string)
    const value = text(raw[i + 1] as Buffer | string)
    if (!fieldName.test(name) || !fieldContent.test(value)) return null
    lines.push(name, value)
  }
  return lines
}

/** White space behind a value is no part of it (RFC 9110 5.5); undici's parser takes away only what is in front. */
function text (octets: Buffer | string): string {
  let end = octets.length
  while (end > 0 && isBlank(octets, end - 1)) end--
  return typeof octets === 'string' ? octets.slice(0, end) : octets.toString('latin1', 0, end)
}

function isBlank (octets: Buffer | string, at: number): boolean {
  const octet = typeof octets === 'string' ? octets.charCodeAt(at) : octets[at]
  return octet === 0x20 || octet === 0x09
}
