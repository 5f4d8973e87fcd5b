/** Pages in place of errors: read once, chosen by status and by what the client accepts, filled in for each. */
import { readFileSync, statSync } from 'node:fs'
import type { ResponseConfig } from '../config/schema.ts'
import { mediaTypeOf, statusFilter } from '../forward/response-rules.ts'

/** What a page may say of an error. */
export interface ErrorFacts {
  readonly status: number
  /** Stable code of the proxy's own, or `status_503` for an error of the upstream. */
  readonly code: string
  readonly message: string
  readonly requestId: string
}

export interface ErrorPage {
  readonly contentType: string
  render (facts: ErrorFacts): Buffer
}

export interface ErrorPages {
  /** @param isOwn it is an error of the proxy's own; @param accept the client's `Accept` */
  find (statusCode: number, isOwn: boolean, accept: string | undefined): ErrorPage | null
  /** Some are in place of the upstream's own errors. */
  readonly replaceOthers: boolean
}

export const maxPageBytes = 256 * 1024

export interface PageSettings extends Pick<ResponseConfig['errorPages'][number], 'status' | 'file' | 'contentType'> {
  /** Absent: true. */
  readonly onlyOwn?: boolean
}

/** Null where there are none. Throws for a file that cannot be read or is too large. */
export function createErrorPages (pages: readonly PageSettings[]): ErrorPages | null {
  if (pages.length === 0) return null
  const ready = pages.map(page => ({ fits: statusFilter(page.status), onlyOwn: page.onlyOwn ?? true, type: mediaTypeOf(page.contentType) ?? '', page: createPage(readPage(page.file), page.contentType) }))
  return {
    find: (statusCode, isOwn, accept) => ready.find(({ fits, onlyOwn, type }) => fits(statusCode) && (isOwn || !onlyOwn) && isAccepted(type, accept))?.page ?? null,
    replaceOthers: ready.some(({ onlyOwn }) => !onlyOwn)
  }
}

/** Throws what the file system throws, or a `RangeError` for a file that is too large. */
export function readPage (file: string): string {
  if (statSync(file).size > maxPageBytes) throw new RangeError(`is larger than ${maxPageBytes} bytes`)
  return readFileSync(file, 'utf8')
}

function createPage (text: string, contentType: string): ErrorPage {
  const pieces = text.split(/\{\{ *(status|code|message|requestId) *\}\}/)
  const escape = escaperFor(mediaTypeOf(contentType) ?? '')
  const render = (facts: ErrorFacts): Buffer => Buffer.from(pieces.map((piece, index) => index % 2 === 0 ? piece : escape(String(facts[piece as keyof ErrorFacts]))).join(''))
  return { contentType, render }
}

function escaperFor (type: string): (text: string) => string {
  if (/[/+]json$/.test(type)) return text => JSON.stringify(text).slice(1, -1)
  if (/[/+](?:html|xml)$/.test(type)) return text => text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
  return text => text
}

/** Members of `Accept` that are looked at. */
const maxMembers = 64

/** RFC 9110 12.5.1: the most specific member counts; without the field everything is accepted. */
function isAccepted (type: string, accept: string | undefined): boolean {
  if (accept === undefined) return true
  let best = -1
  let accepted = false
  for (const member of accept.toLowerCase().split(',').slice(0, maxMembers)) {
    const [range = '', ...parameters] = member.split(';').map(part => part.trim())
    const rank = range === type ? 2 : range === `${type.split('/')[0]}/*` ? 1 : range === '*/*' ? 0 : -1
    if (rank <= best || rank === -1) continue
    best = rank
    const weight = parameters.find(parameter => parameter.startsWith('q='))
    accepted = weight === undefined || Number(weight.slice(2)) > 0
  }
  return accepted
}
