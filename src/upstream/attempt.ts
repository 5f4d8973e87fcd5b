/** One attempt at one target: the handler that undici calls, and the deadlines. */
import type { Dispatcher } from 'undici'
import type { UpstreamConfig } from '../config/schema.ts'
import { Body, type BodySource } from '../http/body.ts'
import { addLine, noFields, type MutableFieldMap } from '../http/fields.ts'
import { classify } from './classify.ts'
import type { Connection } from './connection.ts'
import { UpstreamError, type Exchange, type UpstreamErrorCode, type UpstreamResponse } from './exchange.ts'
import type { Target } from './target.ts'
import { Portion, TurnShare, type Waiting } from './turn-share.ts'

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

const turnShare = new TurnShare()

export function startAttempt (input: AttemptInput): Attempt {
  const attempt = new RunningAttempt(input)
  const { exchange, config, target, connection } = input
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
  } as Dispatcher.DispatchOptions, attempt)
  return attempt
}

/** A class, because there is one for each request that is forwarded: its methods are made once. */
class RunningAttempt implements Attempt, BodySource, Waiting, Dispatcher.DispatchHandler {
  readonly #input: AttemptInput
  #abortRequest: ((error?: Error) => void) | null = null
  #resumeSocket: (() => void) | null = null
  #body: Body | null = null
  /** The reader wants no more. */
  #paused = false
  readonly #portion = new Portion(turnShare)
  /** Nothing more comes in this turn of the event loop. */
  #waits = false
  /** The first piece, if it has come when the share of its turn had been taken. */
  #held: Buffer | null = null
  #over = false
  #failure: UpstreamError | null = null
  #reused = false
  #timer: NodeJS.Timeout | null = null
  #betweenBytesMs = 0
  /** `performance.now()` of the last octets. */
  #heardAt = 0

  constructor (input: AttemptInput) {
    this.#input = input
    if (input.firstByteMs > 0) this.#timer = setTimeout(failOnTime, input.firstByteMs, this)
  }

  abort (code: UpstreamErrorCode, cause?: unknown): void {
    if (this.#over) return
    this.#failure ??= new UpstreamError(code, this.#input.target.origin, cause)
    // undici answers with `onError`; before it has connected the request there is nothing to abort yet.
    if (this.#abortRequest !== null) this.#abortRequest(this.#failure)
    else this.#settle(this.#failure)
  }

  onTimeout (): void {
    if (this.#body === null) return this.abort('upstream_first_byte_timeout')
    const silentMs = performance.now() - this.#heardAt
    // A client that does not read is not the origin server's silence.
    const leftMs = this.#paused ? this.#betweenBytesMs : this.#betweenBytesMs - silentMs
    // Node's timers may be a little early.
    if (leftMs < 1) this.abort('upstream_between_bytes_timeout')
    else this.#timer = setTimeout(failOnTime, leftMs, this)
  }

  /** One timer for both limits, set anew only where it would come too late: for most responses it is never needed. */
  #watchSilence (): void {
    const { exchange, config, firstByteMs } = this.#input
    const betweenBytesMs = this.#betweenBytesMs = exchange.betweenBytesMs ?? config.timeouts.betweenBytes
    this.#heardAt = performance.now()
    if (this.#timer !== null && betweenBytesMs >= firstByteMs) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = betweenBytesMs === 0 ? null : setTimeout(failOnTime, betweenBytesMs, this)
  }

  #settle (error: UpstreamError | null): void {
    if (this.#over) return
    this.#over = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    const { onReleased, onFailed, onCutShort } = this.#input
    const body = this.#body
    onReleased(error !== null)
    if (body === null) {
      onFailed(error as UpstreamError, this.#reused)
    } else if (error === null) {
      body.finish()
    } else {
      onCutShort(error)
      body.fail(error)
    }
  }

  // What the reader of the body says.

  resume (): void {
    if (!this.#paused) return
    this.#paused = false
    this.#heardAt = performance.now()
    if (!this.#waits) this.#resumeSocket?.()
  }

  cancel (error: Error | null): void {
    if (this.#over) return
    this.#failure ??= error instanceof UpstreamError ? error : new UpstreamError('cancelled', this.#input.target.origin)
    this.#abortRequest?.(this.#failure)
  }

  // What undici says.

  onConnect (abortRequest: (error?: Error) => void): void {
    const { connection } = this.#input
    this.#abortRequest = abortRequest
    connection.awaitingHead = true
    this.#reused = ++connection.uses > 1
    if (this.#failure !== null) abortRequest(this.#failure)
  }

  onBodySent (): void {
    // While content goes out the origin server is not expected to answer.
    if (this.#body === null) this.#timer?.refresh()
  }

  onHeaders (statusCode: number, rawLines: Buffer[], resumeSocket: () => void): boolean {
    const { exchange, connection, target, onResponse } = this.#input
    const fields = decodeFields(rawLines)
    if (statusCode < 200) {
      if (fields !== null && statusCode !== 101) exchange.attendant?.informed(statusCode, fields)
      connection.awaitingHead = true
      return true
    }
    if (statusCode > 599 || fields === null) {
      this.abort('upstream_bad_response')
      return true
    }
    this.#resumeSocket = resumeSocket
    const body = this.#body = new Body(this)
    this.#watchSilence()
    onResponse({ statusCode, fields, body, target: target.origin, reused: this.#reused })
    return !this.#paused
  }

  onData (chunk: Buffer): boolean {
    this.#heardAt = performance.now()
    if (!this.#portion.mayTake(this)) {
      this.#waits = true
      this.#held = chunk
      return false
    }
    return this.#take(chunk)
  }

  #take (chunk: Buffer): boolean {
    const hasHadItsPortion = !this.#portion.take(chunk.length)
    if (!(this.#body as Body).push(chunk)) this.#paused = true
    else if (hasHadItsPortion) {
      turnShare.wait(this)
      this.#waits = true
    }
    return !this.#paused && !this.#waits
  }

  /** What the share says when it is this one's turn. */
  goOn (): void {
    const chunk = this.#held
    this.#held = null
    this.#waits = false
    if (this.#over) return
    if (chunk === null) this.#portion.goOn()
    else if (!this.onData(chunk)) return
    this.#resumeSocket?.()
  }

  onComplete (): void { this.#settle(null) }

  onError (error: Error): void {
    const { exchange, target } = this.#input
    if (this.#failure === null && exchange.body !== null && exchange.body.errored !== null) this.#failure = new UpstreamError('client_body_failed', target.origin, error)
    this.#settle(this.#failure ?? classify(error, target.origin))
  }
}

function failOnTime (attempt: RunningAttempt): void { attempt.onTimeout() }

/** `[name, value, ...]`: undici writes them as they stand here. */
function fieldsFor (exchange: Exchange, config: UpstreamConfig, target: Target): string[] {
  const rule = exchange.host ?? config.host
  const host = rule === 'upstream' ? target.authority : rule === 'client' ? exchange.clientAuthority || target.authority : rule
  const lines = ['host', host]
  const { fields } = exchange
  for (const name in fields) {
    const value = fields[name]
    if (typeof value === 'string') lines.push(name, value)
    else if (value !== undefined) for (const one of value) lines.push(name, one)
  }
  return lines
}

/** One character per octet; null when a line cannot be passed on. */
function decodeFields (raw: readonly (Buffer | string)[] | null): MutableFieldMap | null {
  const fields = noFields()
  if (raw === null) return fields
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = text(raw[i] as Buffer | string)
    const value = text(raw[i + 1] as Buffer | string)
    if (!fieldName.test(name) || !fieldContent.test(value)) return null
    addLine(fields, name, value)
  }
  return fields
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
