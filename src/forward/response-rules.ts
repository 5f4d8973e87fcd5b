/**
 * What a route makes of the fields of a response, in two moments.
 *
 * Before it is stored: what depends on the response alone, so that hits get it for nothing. Before it is sent: what depends
 * on the request, or on whether the response was stored.
 */
import type { ResponseConfig } from '../config/schema.ts'
import { fieldValue, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import { createLocationRules, type LocationInput } from './locations.ts'
import { createSecurityFields } from './security-fields.ts'
import { createCookieRules } from './set-cookie.ts'
import { compileTemplate, renderField, type Template, type TemplateInput } from './template.ts'

/** The response that is about to be changed. */
export interface AboutResponse {
  readonly statusCode: number
  /** What it is an update or a part of (304, 206); null for a response of its own. */
  readonly updates: { readonly statusCode: number, readonly fields: FieldMap } | null
  readonly isSecure: boolean
}

/** What a response gets in place of, or beside, the lines of a name. */
export interface FieldChange {
  /** The lines there are go. */
  readonly replaces: boolean
  readonly values: readonly string[]
}

/** By name in lower case. */
export type FieldChanges = ReadonlyMap<string, FieldChange>

/** What decides on rules that act before a response is sent. */
export interface SentResponse {
  /** Of a 304 or 206 that of the response it is made from. */
  readonly statusCode: number
  readonly contentType: () => string | undefined
  readonly isHit: boolean
  readonly method: string
}

export interface ResponseRules {
  /** Changes the fields before the response is stored; null where the route has nothing to change. */
  readonly apply: ((fields: MutableFieldMap, about: AboutResponse) => void) | null
  /** URLs as clients see them, which is how the cache reads them. */
  locate (fields: MutableFieldMap, mount: string): void
  /** Changes before it is sent; null where the route has none. */
  readonly sending: ((response: SentResponse, input: () => TemplateInput) => FieldChanges) | null
  /** Changes an error of the proxy's own; null where nothing is changed of those. */
  readonly own: ((fields: MutableFieldMap, isSecure: boolean, response: SentResponse, input: () => TemplateInput) => void) | null
}

interface Rule {
  readonly fitsStatus: (statusCode: number) => boolean
  readonly fitsType: ((type: string | undefined) => boolean) | null
  readonly cache: 'hit' | 'miss' | 'any'
  readonly methods: readonly string[] | null
  readonly remove: readonly string[]
  readonly set: ReadonlyArray<readonly [string, Template]>
  readonly append: ReadonlyArray<readonly [string, Template]>
  readonly ownErrors: boolean
  /** Nothing in it has to wait for the request. */
  readonly beforeStoring: boolean
}

export interface ResponseRulesInput extends Omit<LocationInput, 'rules'> {
  readonly response: ResponseConfig
  /** Names in the route's pattern, by their place. */
  readonly segments: readonly (string | null)[]
}

export function createResponseRules ({ response, segments, ...urls }: ResponseRulesInput): ResponseRules {
  const rules = rulesOf(response, segments)
  const storing = rules.filter(rule => rule.beforeStoring)
  const sending = rules.filter(rule => !rule.beforeStoring)
  const owned = rules.filter(rule => rule.ownErrors)
  const security = response.security === undefined ? null : createSecurityFields(response.security)
  const cookies = createCookieRules(response.cookies)
  const locations = createLocationRules({ ...urls, rules: response.location })

  /** @param stored what an update is about, null where that is not here; undefined for a response of its own */
  function secure (fields: MutableFieldMap, isSecure: boolean, stored: FieldMap | null | undefined): void {
    if (security === null) return
    for (const name of security.removed) delete fields[name]
    for (const [name, value] of isSecure ? [...security.always, ...security.overTls] : security.always) {
      if (security.replace) fields[name] = value
      // What an update does not say stays as it is, also where only the client has what it is about.
      else if (stored !== null) fields[name] ??= copyOf(stored?.[name]) ?? value
    }
  }

  const apply = storing.length === 0 && security === null && cookies === null
    ? null
    : (fields: MutableFieldMap, about: AboutResponse): void => {
        const { updates } = about
        const stored = updates?.fields ?? (about.statusCode === 304 ? null : undefined)
        const said = stored === undefined ? null : new Set(Object.keys(fields))
        const setCookie = fields['set-cookie']
        if (cookies !== null && setCookie !== undefined) {
          const lines = [setCookie].flat().map(cookies).filter(line => line !== null)
          if (lines.length === 0) delete fields['set-cookie']
          else fields['set-cookie'] = lines
        }
        secure(fields, about.isSecure, stored)
        const statusCode = updates?.statusCode ?? wholeOf(about.statusCode)
        const type = typeOf(fields) ?? (updates === null ? undefined : typeOf(updates.fields))
        for (const rule of storing) {
          if (!rule.fitsStatus(statusCode) || rule.fitsType?.(type) === false) continue
          for (const name of rule.remove) delete fields[name]
          for (const [name, template] of rule.set) fields[name] = fixed(template)
          for (const [name, template] of rule.append) {
          // Of an update that says nothing of the field the lines stay that have this one already.
            const present = said === null || said.has(name) ? undefined : stored?.[name]
            if (present !== undefined) fields[name] = copyOf(present)
            else if (said === null || said.has(name) || stored !== null) fields[name] = joined(fields[name], [fixed(template)])
          }
        }
      }

  return {
    apply,

    locate (fields, mount) {
      locations?.(fields, mount)
    },

    sending: sending.length === 0 ? null : createSending(sending),

    own: owned.length === 0 && security === null
      ? null
      : (fields, isSecure, response, input) => {
          secure(fields, isSecure, undefined)
          for (const [name, { replaces, values }] of changesBy(owned, response, input)) fields[name] = joined(replaces ? undefined : fields[name], values)
        }
  }
}

function createSending (rules: readonly Rule[]): NonNullable<ResponseRules['sending']> {
  const isFixed = rules.every(({ fitsType, methods, set, append }) => fitsType === null && methods === null && [...set, ...append].every(([, template]) => template.names.length === 0))
  if (!isFixed) return (response, input) => changesBy(rules, response, input)
  // Status codes and whether it is a hit are all that decide: some dozens at most.
  const known = new Map<number, FieldChanges>()
  return (response, input) => {
    const key = response.statusCode * 2 + Number(response.isHit)
    let changes = known.get(key)
    if (changes === undefined) known.set(key, changes = changesBy(rules, response, input))
    return changes
  }
}

/** All rules one after the other, as one change for each field. */
function changesBy (rules: readonly Rule[], { statusCode, contentType, isHit, method }: SentResponse, input: () => TemplateInput): FieldChanges {
  const changes = new Map<string, FieldChange>()
  let made: TemplateInput | null = null
  const valueOf = (template: Template): string | null => {
    if (template.names.length === 0) return fixed(template)
    made ??= input()
    return renderField(template, made)
  }
  for (const rule of rules) {
    if (!rule.fitsStatus(statusCode) || (rule.cache !== 'any' && (rule.cache === 'hit') !== isHit)) continue
    if ((rule.methods !== null && !rule.methods.includes(method)) || rule.fitsType?.(contentType()) === false) continue
    for (const name of rule.remove) changes.set(name, { replaces: true, values: [] })
    for (const [name, template] of rule.set) {
      const value = valueOf(template)
      changes.set(name, { replaces: true, values: value === null ? [] : [value] })
    }
    for (const [name, template] of rule.append) {
      const value = valueOf(template)
      const before = changes.get(name)
      if (value !== null) changes.set(name, { replaces: before?.replaces ?? false, values: [...before?.values ?? [], value] })
    }
  }
  return changes
}

/** `removeFields` and `setFields` are rules without conditions; values that have to wait are one by themselves. */
function rulesOf (response: ResponseConfig, segments: readonly (string | null)[]): Rule[] {
  const always = { when: {}, append: {}, ownErrors: false }
  const made = (rule: Parameters<typeof ruleOf>[0]): Rule => ruleOf(rule, segments)
  const [fixedValues, otherValues] = [true, false].map(isFixed => {
    return Object.fromEntries(Object.entries(response.setFields).filter(([, value]) => (compileTemplate(value, segments).names.length === 0) === isFixed))
  }) as [Record<string, string>, Record<string, string>]
  return [
    ...response.removeFields.length > 0 || Object.keys(fixedValues).length > 0 ? [made({ ...always, remove: response.removeFields, set: fixedValues })] : [],
    ...Object.keys(otherValues).length > 0 ? [made({ ...always, remove: [], set: otherValues })] : [],
    ...response.rules.map(made)
  ]
}

function ruleOf ({ when, remove, set, append, ownErrors }: ResponseConfig['rules'][number], segments: readonly (string | null)[]): Rule {
  const values = (fields: Readonly<Record<string, string>>) => Object.entries(fields).map(([name, value]) => [name.toLowerCase(), compileTemplate(value, segments)] as const)
  const [sets, appends] = [values(set), values(append)]
  return {
    fitsStatus: statusFilter(when.status),
    fitsType: when.contentType === undefined ? null : typeFilter(when.contentType),
    cache: when.cache ?? 'any',
    methods: when.method ?? null,
    remove: remove.map(name => name.toLowerCase()),
    set: sets,
    append: appends,
    ownErrors,
    beforeStoring: when.cache === undefined && when.method === undefined && [...sets, ...appends].every(([, template]) => template.names.length === 0)
  }
}

/** @param statuses codes, and `4xx` for all of a hundred; undefined for all */
export function statusFilter (statuses: ReadonlyArray<number | string> | undefined): (statusCode: number) => boolean {
  if (statuses === undefined) return () => true
  const codes = new Set(statuses)
  return statusCode => codes.has(statusCode) || codes.has(`${Math.floor(statusCode / 100)}xx`)
}

function typeFilter (types: readonly string[]): (type: string | undefined) => boolean {
  const patterns = types.map(type => type.toLowerCase())
  return type => type !== undefined && patterns.some(pattern => pattern.endsWith('/*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern)
}

/** A part and a confirmation are about a whole, which is a 200 as far as anybody knows. */
export function wholeOf (statusCode: number): number {
  return statusCode === 304 || statusCode === 206 ? 200 : statusCode
}

/** The media type without parameters, in lower case. */
export function mediaTypeOf (contentType: string | undefined): string | undefined {
  return contentType?.split(';', 1)[0]?.trim().toLowerCase()
}

function typeOf (fields: FieldMap): string | undefined {
  return mediaTypeOf(fieldValue(fields, 'content-type'))
}

function fixed (template: Template): string {
  return template.parts.join('')
}

/** Lines one after the other; nothing for none. */
function joined (present: string | string[] | undefined, added: readonly string[]): string | string[] | undefined {
  const lines = [...[present ?? []].flat(), ...added]
  return lines.length > 1 ? lines : lines[0]
}

function copyOf (value: FieldMap[string]): string | string[] | undefined {
  return value === undefined || typeof value === 'string' ? value : [...value]
}
