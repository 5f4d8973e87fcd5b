/** Rules of `rewrite` about the fields in which the upstream is told who asks. */
import { identityFieldNames, identityFieldsByUpstream, isIdentityField } from '../auth/identity-fields.ts'
import { parseTemplate } from '../forward/template.ts'
import { segmentNames } from '../routing/pattern.ts'
import { pointerTo, type ConfigProblem } from './problems.ts'
import type { RouteConfig } from './schema.ts'

interface Rule {
  /** Below `rewrite`. */
  readonly place: string
  readonly field: string
  /** What it makes of the field: nothing, what the client says, or what the operator does. */
  readonly makes: 'nothing' | 'clients' | 'own'
}

/** Of rules that cannot do what they seem to, and of those by which a client may say who it is. */
export function identityWarnings (routes: readonly RouteConfig[]): ConfigProblem[] {
  const byUpstream = identityFieldsByUpstream(routes)
  return routes.flatMap((route, index) => {
    const names = byUpstream.get(route.upstream) as ReadonlySet<string>
    const own = new Set(identityFieldNames(route.auth))
    return rulesOf(route).filter(({ field }) => isIdentityField(field, names)).flatMap(({ place, field, makes }) => {
      const message = isIdentityField(field, own) && (makes === 'nothing' || isAlwaysSet(route, field))
        ? 'has no effect on this field: authentication sets it, whatever rules make of it'
        : makes === 'clients' ? `lets clients say who they are: authentication tells the upstream in ${field}, or in what may be taken for the same` : null
      return message === null ? [] : [{ path: `/routes/${index}/rewrite/${place}`, rule: 'identity-rule', message }]
    })
  })
}

function rulesOf ({ rewrite, match }: RouteConfig): readonly Rule[] {
  const segments = segmentNames(match.path)
  const from = ['renameFields', 'copyFields'] as const
  const values = ['setFields', 'appendFields'] as const
  return [
    ...rewrite.removeFields.map((field, index) => ({ place: `removeFields/${index}`, field, makes: 'nothing' as const })),
    ...from.flatMap(option => Object.entries(rewrite[option]).flatMap(([name, field]) => [
      ...option === 'renameFields' ? [{ place: pointerTo(option, name), field: name, makes: 'nothing' as const }] : [],
      { place: pointerTo(option, name), field, makes: 'clients' as const }
    ])),
    ...values.flatMap(option => Object.entries(rewrite[option]).map(([field, value]) => ({ place: pointerTo(option, field), field, makes: isOfClient(value, segments) ? 'clients' as const : 'own' as const })))
  ]
}

function isOfClient (value: string, segments: readonly (string | null)[]): boolean {
  const parsed = parseTemplate(value, segments)
  return parsed.ok && parsed.template.names.some(name => !/^(?:auth\.|client\.ip$|request\.id$|scheme$)/.test(name))
}

/** A claim may be missing, and a service may leave a field out; a subject there is always. In another spelling it is another field. */
function isAlwaysSet ({ auth }: RouteConfig, field: string): boolean {
  return auth?.identityField?.toLowerCase() === field.toLowerCase()
}
