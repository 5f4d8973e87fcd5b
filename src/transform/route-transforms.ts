/** What of transformations a route has, made ready once; and what it says to origin server and cache on their behalf. */
import type { Readable } from 'node:stream'
import { didYouMean, nearest, type ConfigProblem } from '../config/problems.ts'
import type { RouteConfig } from '../config/schema.ts'
import { parseEntityTagList, type EntityTag } from '../http/entity-tag.ts'
import { fieldValue, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import { mustBeWhole, stepOf, transformResponse, type Step, type TransformCallback } from './chain.ts'
import { chooseForRange, codings, isStrongTag, type CodingChoice, type RangedChoice } from './codings.ts'
import { createCompression, type CompressionCounts } from './compression.ts'
import type { HeldBytes } from './content.ts'
import { aboutBytes, addVary, forbidsTransform, forgetBytes, mayTransform } from './eligible.ts'
import { confirmedTag, formatEntityTag, readMarkedTag, withoutMarks, withOriginTags } from './entity-tags.ts'
import type { Registered, RequestTransform, ResponseHead, ResponseTransform } from './transform.ts'

/** What a request is taken for, on a route with transformations. */
export interface TransformChoice {
  readonly coding: CodingChoice['coding']
  /** Steps before storing and before sending. */
  readonly storing: readonly Step[]
  readonly sending: readonly Step[]
  /** Entity tags in the client's `If-None-Match`, where what is stored has others. */
  readonly clientTags: readonly EntityTag[]
}

export interface RouteTransforms {
  readonly requests: ReadonlyArray<Registered<RequestTransform>>
  /** Names, in acting order, of what is done before storing; what is stored under other ones is not reused. */
  readonly fingerprint: string
  /** Reads a request, and gives the fields that change: what is not there any more is undefined. */
  choose (method: string, fields: FieldMap): { readonly choice: TransformChoice, readonly changes: FieldMap }
  /** `Accept-Encoding` for the origin server where it is not that of the request as the cache knows it; else null. */
  readonly acceptEncoding: string | null
  /** Makes preconditions ask for what the origin server knows. */
  askOrigin (fields: MutableFieldMap): void
  /**
   * Whether a stored response was left uncompressed for want of room, of which there is some now: confirmed by the origin
   * server, it would stay so as long as it does not change there.
   * @param bytes length of its content
   */
  isLeftPlain (stored: { readonly statusCode: number, readonly fields: FieldMap }, bytes: number, choice: TransformChoice): boolean
  /** Makes a 304 be about what was asked for: stored responses, and what the client has. */
  confirm (fields: MutableFieldMap, asked: AskedFor): void
  /** Makes a 304 that is sent be about what the client has. */
  confirmSent (fields: MutableFieldMap, choice: TransformChoice): void
  /** Whether a 206 from the origin server is a part of what is transformed as a whole. May throw. */
  mustBeWhole (head: ResponseHead): boolean
  /** The same of what is stored, before it is sent. */
  sendsWhole (head: ResponseHead): boolean
  /** Own transformations act before responses are stored. */
  readonly stores: boolean
  /** Something is done to each response that is sent. */
  readonly sends: boolean
  apply (steps: readonly Step[], head: ResponseHead, body: Readable | null, done: TransformCallback): void
}

const untouched: CodingChoice = { coding: 'identity', takesIdentity: true }

/** What a 304 may be about. */
export interface AskedFor {
  /** Stored responses whose validators were sent. */
  readonly validating: readonly StoredTag[]
  /** The stored response that the request selects. */
  readonly stored: StoredTag | null
  /** The client's `If-None-Match`. */
  readonly clientTags: string | undefined
}

export interface StoredTag { readonly response: { readonly etag: EntityTag | null, readonly fields: FieldMap } }

/** What a route names, in acting order. */
export interface NamedTransforms {
  readonly responses: ReadonlyArray<Registered<ResponseTransform>>
  readonly requests: ReadonlyArray<Registered<RequestTransform>>
}

/** Null where a route transforms nothing. @param own what it names, in acting order */
export function createRouteTransforms (config: RouteConfig, own: NamedTransforms, counts: CompressionCounts, held: HeldBytes): RouteTransforms | null {
  const { compression: rules } = config.response
  if (!rules.enabled && own.responses.length === 0 && own.requests.length === 0) return null
  const compression = rules.enabled ? createCompression(rules, counts) : null
  const before = own.responses.filter(({ transform: { moment } }) => moment === 'beforeStoring').map(stepOf)
  const after = own.responses.filter(({ transform: { moment } }) => moment === 'beforeSending').map(stepOf)
  const all = [...before, ...after]
  const known: ReadonlySet<string> = new Set([...all.map(({ id }) => id), ...compression === null ? [] : codings])
  const knows = (ids: string): boolean => ids.split('+').every(id => known.has(id))
  const sends = after.length > 0
  const choices = new Map<CodingChoice['coding'], TransformChoice>()

  /** Compression comes last: nothing could look into what is compressed. */
  function choiceFor (coding: CodingChoice['coding']): TransformChoice {
    let made = choices.get(coding)
    if (made === undefined) {
      const last = compression === null ? [] : [compression.stepFor(coding ?? 'identity')]
      made = { coding, storing: sends ? before : [...before, ...last], sending: sends ? [...after, ...last] : [], clientTags: [] }
      choices.set(coding, made)
    }
    return made
  }

  function choose (method: string, fields: FieldMap): RangedChoice {
    const choice = compression === null || forbidsTransform(fields) ? untouched : compression.choose(fieldValue(fields, 'accept-encoding'))
    if (method !== 'GET' || fields['range'] === undefined) return { coding: choice.coding, ignoresRange: false }
    const ranged = chooseForRange(choice, fieldValue(fields, 'if-range'))
    // What a transformation makes of the same content may be other bytes the next time, and nothing in a date says so.
    return all.length > 0 && !isStrongTag(fieldValue(fields, 'if-range') ?? '"') ? { ...ranged, ignoresRange: true } : ranged
  }

  return {
    requests: own.requests,
    fingerprint: JSON.stringify([before.map(({ id }) => id), sends]),
    // Nothing here can look into what the origin server has compressed.
    acceptEncoding: all.length > 0 ? 'identity' : null,

    choose (method, fields) {
      const changes: MutableFieldMap = {}
      const { coding, ignoresRange } = choose(method, fields)
      // What is compressed before it is stored is stored for each class of clients.
      const seen = sends || compression === null ? 'identity' : coding
      // Who refuses everything that there is gets what the origin server makes of it.
      if (seen !== null && (compression !== null || all.length > 0)) changes['accept-encoding'] = seen
      if (ignoresRange) {
        changes['range'] = undefined
        changes['if-range'] = undefined
      }
      const made = choiceFor(coding)
      const tags = fieldValue(fields, 'if-none-match')
      if (!sends || tags === undefined) return { choice: made, changes }
      changes['if-none-match'] = withoutMarks(tags, knows)
      const parsed = parseEntityTagList(tags)
      return { choice: { ...made, clientTags: parsed === '*' ? [] : parsed }, changes }
    },

    askOrigin (fields) {
      for (const name of ['if-none-match', 'if-match']) {
        const value = fieldValue(fields, name)
        if (value !== undefined) fields[name] = withOriginTags(value, knows)
      }
    },

    isLeftPlain ({ statusCode, fields }, bytes, { coding }) {
      if (compression === null || sends || coding === null || coding === 'identity') return false
      return mayTransform(statusCode, fields) && compression.hasRoomFor({ ...fields, 'content-length': String(bytes) })
    },

    confirm (fields, { validating, stored, clientTags }) {
      const listed = clientTags === undefined ? [] : parseEntityTagList(clientTags)
      const asked = [...validating.map(({ response }) => response.etag), ...listed === '*' ? [] : listed].filter(tag => tag !== null)
      const received = fieldValue(fields, 'etag')
      const tag = confirmedTag(received, asked) ?? confirmedTag(received, stored?.response.etag == null ? [] : [stored.response.etag])
      if (tag !== null && readMarkedTag(tag) !== null) {
        fields['etag'] = formatEntityTag(tag)
        forgetBytes(fields)
      }
      // What came with the validated response stays, whatever a 304 for its original says.
      const chosen = stored ?? validating[0]
      if (chosen === undefined) return
      for (const name of aboutBytes) if (chosen.response.fields[name] === undefined) delete fields[name]
      if (fields['vary'] !== undefined && variesByCoding(chosen)) addVary(fields, 'accept-encoding')
    },

    confirmSent (fields, { clientTags, coding }) {
      const tag = confirmedTag(fieldValue(fields, 'etag'), clientTags)
      if (tag === null || readMarkedTag(tag) === null) return
      fields['etag'] = formatEntityTag(tag)
      forgetBytes(fields)
      if (compression !== null && coding !== null) addVary(fields, 'accept-encoding')
    },

    stores: before.length > 0,
    sends,
    mustBeWhole: head => mustBeWhole(before, { ...head, forwarding: null }) || mustBeWhole(after, head),
    sendsWhole: head => mustBeWhole(after, head),
    apply (steps, head, body, done) { transformResponse(steps, head, body, held, done) }
  }
}

function variesByCoding ({ response }: StoredTag): boolean {
  return fieldValue(response.fields, 'vary')?.toLowerCase().split(',').some(name => name.trim() === 'accept-encoding') === true
}

/** Finds what a route, the one at `index`, names; what nobody registered is reported. */
export function namedTransforms (config: RouteConfig, index: number, report: (problem: ConfigProblem) => void, responses: ReadonlyMap<string, Registered<ResponseTransform>>, requests: ReadonlyMap<string, Registered<RequestTransform>>): NamedTransforms {
  const named = { responses: [] as Array<Registered<ResponseTransform>>, requests: [] as Array<Registered<RequestTransform>> }
  for (const [place, name] of config.transforms.entries()) {
    const response = responses.get(name)
    const request = requests.get(name)
    if (response === undefined && request === undefined) {
      const suggestion = nearest(name, [...responses.keys(), ...requests.keys()])
      report({ path: `/routes/${index}/transforms/${place}`, rule: 'known-transform', message: `is no transformation that an extension or the application has registered${didYouMean(suggestion)}`, value: name, ...suggestion !== undefined && { suggestion } })
    }
    if (response !== undefined) named.responses.push(response)
    if (request !== undefined) named.requests.push(request)
  }
  return named
}
