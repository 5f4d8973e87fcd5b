/** One attempt at one target: the handler that undici calls, and the deadlines. */
import type { Dispatcher } from 'undici'
import type { UpstreamConfig } from '../config/schema.ts'
import { Body, type BodySource } from '../http/body.ts'
import { addLine, noFields, type MutableFieldMap } from '../http/fields.ts'
import { knownNameOf } from '../http/known-names.ts'
import { classify } from './classify.ts'
import type { Connection } from './connection.ts'
import { UpstreamError, type Exchange, type UpstreamErrorCode, type UpstreamResponse } from './exchange.ts'
import type { Target } from './target.ts'
import { Portion, TurnShare, type Waiting } from './turn-share.ts'

/** Who makes the attempt: what is asked of which target on which connection, and what comes of it. */
export interface AttemptOwner {
  readonly exchange: Exchange
  /** The connection has nothing on it any more; `broken` when the exchange did not end well. */
  released (target: Target, connection: Connection, broken: boolean): void
  responded (target: Target, response: UpstreamResponse): void
  /** Before the head; `reused` tells whether the failed socket had served before. */
  failed (target: Target, error: UpstreamError, reused: boolean): void
  /** After the head: the body was cut short. */
  cutShort (target: Target, error: UpstreamError): void
}

export interface Attempt { abort (code: UpstreamErrorCode): void }

const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
// What Node refuses to write, and what a smuggler would like us to.
const fieldContent = /^[\t\x20-\x7e\x80-\xff]*$/

const turnShare = new TurnShare()

/** A parser of undici is at work. All connections share one, so that none goes on before it is through. */
let isParsing = false

/** @param firstByteMs milliseconds left until the response head must have come, 0 for no limit */
export function startAttempt (owner: AttemptOwner, config: UpstreamConfig, target: Target, connection: Connection, firstByteMs: number): Attempt {
  const attempt = new RunningAttempt(owner, config, target, connection, firstByteMs)
  const { exchange } = owner
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
  readonly #owner: AttemptOwner
  readonly #config: UpstreamConfig
  readonly #target: Target
  readonly #connection: Connection
  readonly #firstByteMs: number
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

  constructor (owner: AttemptOwner, config: UpstreamConfig, target: Target, connection: Connection, firstByteMs: number) {
    this.#owner = owner
    this.#config = config
    this.#target = target
    this.#connection = connection
    this.#firstByteMs = firstByteMs
    if (firstByteMs > 0) this.#timer = setTimeout(failOnTime, firstByteMs, this)
  }

  abort (code: UpstreamErrorCode, cause?: unknown): void {
    if (this.#over) return
    this.#failure ??= new UpstreamError(code, this.#target.origin, cause)
    // undici answers with `onError`; before it has connected the request there is nothing to abort yet.
    if (this.#abortRequest !== null) this.#abortRequest(this.#failure)
    else this.#settle(this.#failure)
  }

  onTimeout (): void {
    if (this.#body === null) return this.abort('upstream_first_byte_timeout')
    const silentMs = performance.now() - this.#heardAt
    // A client that does not read is not the origin server's silence, nor is a share that has not come.
    const leftMs = this.#paused || this.#waits ? this.#betweenBytesMs : this.#betweenBytesMs - silentMs
    // Node's timers may be a little early.
    if (leftMs < 1) this.abort('upstream_between_bytes_timeout')
    else this.#timer = setTimeout(failOnTime, leftMs, this)
  }

  /** One timer for both limits, set anew only where it would come too late: for most responses it is never needed. */
  #watchSilence (): void {
    const betweenBytesMs = this.#betweenBytesMs = this.#owner.exchange.betweenBytesMs ?? this.#config.timeouts.betweenBytes
    this.#heardAt = performance.now()
    if (this.#timer !== null && betweenBytesMs >= this.#firstByteMs) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = betweenBytesMs === 0 ? null : setTimeout(failOnTime, betweenBytesMs, this)
  }

  #settle (error: UpstreamError | null): void {
    if (this.#over) return
    this.#over = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    const body = this.#body
    this.#owner.released(this.#target, this.#connection, error !== null)
    if (body === null) {
      this.#owner.failed(this.#target, error as UpstreamError, this.#reused)
    } else if (error === null) {
      body.finish()
    } else {
      this.#owner.cutShort(this.#target, error)
      body.fail(error)
    }
  }

  // What the reader of the body says.

  resume (): void {
    if (!this.#paused) return
    this.#paused = false
    this.#heardAt = performance.now()
    if (!this.#waits) this.#readOn()
  }

  cancel (error: Error | null): void {
    if (this.#over) return
    this.#failure ??= error instanceof UpstreamError ? error : new UpstreamError('cancelled', this.#target.origin)
    this.#abortRequest?.(this.#failure)
  }

  // What undici says.

  onConnect (abortRequest: (error?: Error) => void): void {
    const connection = this.#connection
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
    isParsing = true
    try {
      return this.#headCame(statusCode, rawLines, resumeSocket)
    } finally {
      isParsing = false
    }
  }

  #headCame (statusCode: number, rawLines: Buffer[], resumeSocket: () => void): boolean {
    const fields = decodeFields(rawLines)
    if (statusCode < 200) {
      if (fields !== null && statusCode !== 101) this.#owner.exchange.attendant?.informed(statusCode, fields)
      this.#connection.awaitingHead = true
      return true
    }
    if (statusCode > 599 || fields === null) {
      this.abort('upstream_bad_response')
      return true
    }
    this.#resumeSocket = resumeSocket
    const body = this.#body = new Body(this, true)
    this.#watchSilence()
    this.#owner.responded(this.#target, { statusCode, fields, body, target: this.#target.origin, reused: this.#reused })
    return this.#goesOn()
  }

  onData (chunk: Buffer): boolean {
    isParsing = true
    try {
      return this.#pieceCame(chunk)
    } finally {
      isParsing = false
    }
  }

  #pieceCame (chunk: Buffer): boolean {
    this.#heardAt = performance.now()
    if (!this.#portion.mayTake(this)) {
      this.#waits = true
      this.#held = chunk
      return this.#goesOn()
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
    return this.#goesOn()
  }

  /** What the share says when it is this one's turn. */
  goOn (): void {
    const chunk = this.#held
    this.#held = null
    this.#waits = false
    if (this.#over) return
    if (chunk === null) this.#portion.goOn()
    else if (!this.#pieceCame(chunk)) return
    this.#readOn()
  }

  /** What undici is told: whether it is to go on. */
  #goesOn (): boolean {
    this.#connection.parserWaits = this.#paused || this.#waits
    return !this.#connection.parserWaits
  }

  #readOn (): void {
    if (isParsing) {
      // What a piece of one response sets off may be the moment in which the client of another one takes more.
      process.nextTick(() => { if (!this.#paused && !this.#waits && !this.#over) this.#readOn() })
      return
    }
    this.#connection.parserWaits = false
    this.#resumeSocket?.()
    this.#connection.parserWentOn()
  }

  onComplete (): void {
    isParsing = true
    try {
      this.#settle(null)
    } finally {
      isParsing = false
    }
  }

  onError (error: Error): void {
    const { body } = this.#owner.exchange
    const { origin } = this.#target
    if (this.#failure === null && body !== null && body.errored !== null) this.#failure = new UpstreamError('client_body_failed', origin, error)
    this.#settle(this.#failure ?? classify(error, origin))
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
    const name = nameOf(raw[i] as Buffer | string)
    const value = text(raw[i + 1] as Buffer | string)
    if (name === null || !fieldContent.test(value)) return null
    addLine(fields, name, value)
  }
  return fields
}

/** In lower case; null for what is none. */
function nameOf (octets: Buffer | string): string | null {
  const known = typeof octets === 'string' ? null : knownNameOf(octets)
  if (known !== null) return known
  const name = text(octets)
  return fieldName.test(name) ? name.toLowerCase() : null
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
