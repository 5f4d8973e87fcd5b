/**
 * What a route makes of the fields of a request. In this order: remove, rename, copy, set, append.
 *
 * The cache sees the fields as the upstream gets them, since it is about those that the origin server says `Vary`. But for
 * fields that the proxy writes itself for each request, and those by which a client tells the cache what it wants: their
 * rules act when the request is sent, and the cache sees what the client sent.
 */
import type { RewriteConfig } from '../config/schema.ts'
import { copyFields, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import { compileTemplate, renderField, type Template, type TemplateInput } from './template.ts'

export interface RequestRules {
  /** Whether `apply` gives anything but the fields it was given. */
  readonly changeWhatTheCacheSees: boolean
  /** Fields as the cache sees them and most of them are sent: the very ones given where no rule changes them. */
  apply (fields: FieldMap, input: () => TemplateInput): FieldMap
  /** Changes what is about to be sent. */
  finish (built: MutableFieldMap, input: () => TemplateInput): void
}

/** Written by the proxy for each request. */
export const generatedFields: ReadonlySet<string> = new Set(['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-port', 'x-forwarded-proto', 'x-real-ip', 'x-request-id'])

/** What a client says of conditions and parts: the cache answers it, and asks its own questions with it. */
export const conditionalFields: ReadonlySet<string> = new Set(['if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'range'])

const forCache: ReadonlySet<string> = new Set(['cache-control', 'pragma'])

type Change = (fields: MutableFieldMap, input: () => TemplateInput) => void

/** @param segments names in the route's pattern, by their place */
export function createRequestRules (rules: RewriteConfig, segments: readonly (string | null)[]): RequestRules {
  const early: Change[] = []
  const late: Change[] = []
  const add = (name: string, change: Change, isFixed = false): void => {
    // A credential that is the same for all says nothing of who asks; one made for each makes the response one user's (RFC 9111 3.5).
    const isLate = generatedFields.has(name) || conditionalFields.has(name) || forCache.has(name) || (name === 'authorization' && isFixed)
    ;(isLate ? late : early).push(change)
  }

  for (const field of rules.removeFields) {
    const name = field.toLowerCase()
    add(name, fields => { delete fields[name] }, true)
  }
  for (const [from, to] of pairs(rules.renameFields)) {
    add(to, fields => {
      const value = fields[from]
      if (value === undefined) return
      fields[to] = value
      delete fields[from]
    })
  }
  for (const [from, to] of pairs(rules.copyFields)) {
    add(to, fields => { if (fields[from] !== undefined) fields[to] = fields[from] })
  }
  for (const [field, value] of Object.entries(rules.setFields)) {
    const name = field.toLowerCase()
    const template = compileTemplate(value, segments)
    add(name, (fields, input) => {
      const made = valueOf(template, input)
      if (made === null) delete fields[name]
      else fields[name] = made
    }, template.names.length === 0)
  }
  for (const [field, value] of Object.entries(rules.appendFields)) {
    const name = field.toLowerCase()
    const template = compileTemplate(value, segments)
    add(name, (fields, input) => {
      const made = valueOf(template, input)
      if (made !== null) fields[name] = appended(name, fields[name], made)
    })
  }

  return {
    changeWhatTheCacheSees: early.length > 0,
    apply (fields, input) {
      if (early.length === 0) return fields
      const changed = copyFields(fields)
      for (const change of early) change(changed, input)
      return changed
    },
    finish (built, input) {
      for (const change of late) change(built, input)
    }
  }
}

function pairs (names: Readonly<Record<string, string>>): Array<[string, string]> {
  return Object.entries(names).map(([from, to]) => [from.toLowerCase(), to.toLowerCase()])
}

function valueOf (template: Template, input: () => TemplateInput): string | null {
  return template.names.length === 0 ? template.parts.join('') : renderField(template, input())
}

/** Another field line; but of cookies there is one line in a request (RFC 6265 5.4). */
function appended (name: string, present: string | string[] | undefined, value: string): string | string[] {
  if (present === undefined) return value
  if (name === 'cookie') return `${Array.isArray(present) ? present.join('; ') : present}; ${value}`
  return [...Array.isArray(present) ? present : [present], value]
}
