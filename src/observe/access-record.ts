/**
 * One line of the access log per request. Only what is named here is written: no fields of the request, whose values may
 * be secrets, and no query, for the same reason.
 */
import type { FastifyBaseLogger } from 'fastify'
import pino from 'pino'
import type { OutcomeLabel } from '../cache/status.ts'

export interface AccessRecord {
  readonly reqId: string
  readonly method: string
  /** Normalised, without query. */
  readonly path: string
  readonly route: string
  readonly status: number
  readonly cache: OutcomeLabel
  readonly client: string
  readonly http: string
  readonly durationMs: number
  /** Of content, as announced; 0 where the response announced none. */
  readonly bytes: number
  /** Who authentication found to ask. */
  readonly subject?: string | undefined
  /** Why the cache did what it did. */
  readonly reason?: string | undefined
  readonly upstream?: string | undefined
  readonly target?: string | undefined
  readonly upstreamMs?: number | undefined
  readonly code?: string | undefined
  readonly aborted?: boolean | undefined
}

export type AccessLog = (record: AccessRecord) => void

/** Writes records through a logger: a line of pino's without its general way of making one, which costs as much as the rest of a hit's story. */
export function createAccessLog (logger: FastifyBaseLogger): AccessLog {
  const write = lineWriter(logger)
  if (write === null) return record => { logger.info(record, 'request') }
  return record => { if ((logger as unknown as pino.Logger).isLevelEnabled('info')) write(formatRecord(record)) }
}

/** What pino keeps under its public symbols. */
interface PinoParts {
  readonly [pino.symbols.chindingsSym]?: string
  readonly [pino.symbols.streamSym]?: { write (line: string): void }
  readonly [pino.symbols.timeSym]?: () => string
  readonly [pino.symbols.formattersSym]?: { log?: unknown }
  readonly [pino.symbols.mixinSym]?: unknown
  readonly [pino.symbols.serializersSym]?: Record<string, unknown>
  readonly [pino.symbols.nestedKeySym]?: unknown
}

const infoLevel = 30

/** Null for what is no pino, or one told to change its lines. */
function lineWriter (logger: object): ((members: string) => void) | null {
  const parts = logger as PinoParts & { [pino.symbols.messageKeySym]?: string, [pino.symbols.redactFmtSym]?: unknown, [pino.symbols.useLevelLabelsSym]?: unknown, [pino.symbols.hooksSym]?: { logMethod?: unknown } }
  const { [pino.symbols.streamSym]: stream, [pino.symbols.chindingsSym]: bindings, [pino.symbols.timeSym]: time } = parts
  const isPlain = parts[pino.symbols.mixinSym] === undefined && parts[pino.symbols.messageKeySym] === 'msg' && parts[pino.symbols.hooksSym]?.logMethod === undefined &&
    parts[pino.symbols.formattersSym]?.log === undefined && !parts[pino.symbols.nestedKeySym]
  if (!isPlain || typeof stream?.write !== 'function' || typeof bindings !== 'string' || typeof time !== 'function') return null
  const begin = `{"level":${infoLevel}`
  return members => { stream.write(`${begin}${time()}${bindings},${members},"msg":"request"}\n`) }
}

function formatRecord (record: AccessRecord): string {
  const { before, after } = commonOf(record)
  let line = `"reqId":${text(record.reqId)}${before}${text(record.path)}${after}${milliseconds(record.durationMs)},"bytes":${record.bytes}`
  if (record.subject !== undefined) line += `,"subject":${text(record.subject)}`
  if (record.reason !== undefined) line += `,"reason":${text(record.reason)}`
  if (record.upstream !== undefined) line += `,"upstream":${text(record.upstream)}${record.target === undefined ? '' : `,"target":${text(record.target)}`},"upstreamMs":${milliseconds(record.upstreamMs ?? 0)}`
  if (record.code !== undefined) line += `,"code":${text(record.code)}`
  if (record.aborted === true) line += ',"aborted":true'
  return line
}

/** What lines of requests that are alike have in common, as text, with the record it was made for. */
interface Common {
  readonly of: Omit<AccessRecord, 'reqId' | 'path' | 'durationMs' | 'bytes'>
  /** From the method to the name of the path, and from the route to the name of the duration. */
  readonly before: string
  readonly after: string
}

const places = 512
const remembered: Array<Common | undefined> = Array.from({ length: places })

/**
 * Most requests are like one that came shortly before, but for their path: of those there may be a million, and to remember what
 * comes once would cost more than it saves.
 */
function commonOf (record: AccessRecord): Common {
  const { method, route, status, cache, client, http } = record
  const place = placeOf(client, status)
  const known = remembered[place]
  if (known !== undefined) {
    const { of } = known
    if (of.status === status && of.client === client && of.cache === cache && of.method === method && of.route === route && of.http === http) return known
  }
  const made = {
    of: { method, route, status, cache, client, http },
    before: `,"method":${text(method)},"path":`,
    after: `,"route":${text(route)},"status":${status},"cache":"${cache}","client":${text(client)},"http":${text(http)},"durationMs":`
  }
  remembered[place] = made
  return made
}

/** Where what is like a client's request is remembered: addresses differ at their end more often than elsewhere. */
function placeOf (client: string, status: number): number {
  const { length } = client
  let sum = status
  for (let index = Math.max(0, length - 8); index < length; index++) sum = Math.imul(sum, 31) + client.charCodeAt(index)
  return (sum ^ (sum >>> 9)) & (places - 1)
}

const thousandths = Array.from({ length: 1000 }, (_, part) => part === 0 ? '' : `.${String(part).padStart(3, '0').replace(/0+$/, '')}`)

/** As `JSON.stringify` writes a number of three decimals, without the general way of finding the shortest form. */
function milliseconds (value: number): string {
  const all = Math.round(value * 1000)
  return all >= 0 && all < 2 ** 40 ? `${Math.floor(all / 1000)}${thousandths[all % 1000]}` : String(value)
}

/** In longer texts the search of a regular expression is the faster one. */
const shortText = 64
const plain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

function text (value: string): string {
  return isPlain(value) ? `"${value}"` : JSON.stringify(value)
}

/** Whether nothing has to be escaped. */
function isPlain (value: string): boolean {
  const { length } = value
  if (length > shortText) return plain.test(value)
  for (let i = 0; i < length; i++) {
    const code = value.charCodeAt(i)
    if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) return false
  }
  return true
}
