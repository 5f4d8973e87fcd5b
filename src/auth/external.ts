/** Another service decides (as nginx's `auth_request` and Traefik's `forwardAuth` let it). */
import type { Dispatcher } from 'undici'
import type { ExternalAuthConfig } from '../config/schema.ts'
import { fieldValue, type FieldMap } from '../http/fields.ts'
import { keyedDigest, createRemembered } from './remembered.ts'
import { createUnderWay } from './under-way.ts'
import type { Admission, AuthRequest, Refusal, Verdict, Verifier } from './verdict.ts'

export interface ExternalDependencies {
  readonly dispatcher: Pick<Dispatcher, 'request'>
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly onFailure: (error: unknown) => void
}

/** Of an answer that nobody wants this much is read, so that its connection can be used again. */
const maxDumpedBytes = 16 * 1024
/** What a field of its answer may hold to be passed on. */
const sendable = /^[\t\x20-\x7e\x80-\xff]{0,8192}$/
/** Challenges of one answer that are passed on. */
const maxChallenges = 8

export function createExternal (config: ExternalAuthConfig, { dispatcher, now, onFailure }: ExternalDependencies): Verifier {
  const { origin, pathname, search } = new URL(config.url)
  const forwarded = config.forwardFields.map(name => name.toLowerCase())
  const copied = config.copyFields.map(name => name.toLowerCase())
  const subjectField = config.subject?.toLowerCase()
  const failed: Refusal = { ok: false, reason: 'unavailable', statusCode: config.failureStatus }
  const overloaded: Refusal = { ok: false, reason: 'overloaded' }
  const remembered = createRemembered()
  const underWay = createUnderWay()
  let questions = 0

  return {
    challenges: [],
    judgesAuthorization: forwarded.includes('authorization'),
    verify (request, done) {
      const credentials = forwarded.map(name => fieldValue(request.fields, name) ?? '\0absent')
      const digest = config.remember === 0 ? '' : remembered.digest(...credentials, ...config.rememberBy === 'request' ? partsOf(request) : [])
      if (digest !== '') {
        const known = remembered.find(digest, now())
        if (known !== null) return done(known)
        if (underWay.join(digest, done)) return
      }
      if (questions >= config.concurrency) return done(overloaded)

      questions++
      const tell = digest === '' ? done : underWay.begin(digest, done)
      ask(request, credentials).catch((error: unknown) => {
        onFailure(error)
        return failed
      }).then(verdict => {
        questions--
        if (verdict.ok && digest !== '') remembered.keep(digest, verdict, now() + config.remember)
        tell(verdict)
      }).catch(onFailure)
    }
  }

  async function ask (request: AuthRequest, credentials: readonly string[]): Promise<Verdict> {
    const headers: Record<string, string> = {
      accept: '*/*',
      'x-forwarded-method': request.method,
      'x-forwarded-proto': request.scheme,
      'x-forwarded-host': request.authority,
      'x-forwarded-uri': request.path + request.query,
      'x-forwarded-for': request.clientAddress
    }
    for (const name of forwarded) {
      const value = fieldValue(request.fields, name)
      if (value !== undefined) headers[name] = value
    }
    const response = await dispatcher.request({ origin, path: pathname + search, method: 'GET', headers, signal: AbortSignal.timeout(config.timeout) })
    const { statusCode, headers: answered } = response
    response.body.on('error', () => {})
    response.body.dump({ limit: maxDumpedBytes }).catch(() => {})
    if (statusCode >= 200 && statusCode < 300) return admit(answered, credentials)
    if (statusCode === 401 || statusCode === 403) {
      const challenges = [answered['www-authenticate'] ?? []].flat().filter(value => sendable.test(value)).slice(0, maxChallenges)
      return { ok: false, reason: statusCode === 403 ? 'forbidden' : 'invalid', ...challenges.length > 0 && { challenges } }
    }
    throw new Error(`answered ${statusCode}`)
  }

  function admit (answered: FieldMap, credentials: readonly string[]): Admission {
    const fields: Record<string, string> = {}
    for (const name of copied) {
      const value = fieldValue(answered, name)
      if (value === undefined) continue
      if (!sendable.test(value)) throw new Error(`answered with a field ${name} that cannot be passed on`)
      fields[name] = value
    }
    const subject = subjectField === undefined ? `credential-${keyedDigest(credentials)}` : fieldValue(answered, subjectField)
    if (subject === undefined || subject === '') throw new Error(`answered without ${subjectField}, which names who asks`)
    return { ok: true, identity: { subject, kind: 'external', claims: {} }, fields }
  }
}

function partsOf ({ method, scheme, authority, path, query, clientAddress }: AuthRequest): readonly string[] {
  return [method, scheme, authority, path, query, clientAddress]
}
