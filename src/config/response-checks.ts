/** Rules about what a route changes of a response. */
import { segmentNames } from '../routing/pattern.ts'
import { checkField, checkTemplates, checkUniqueFields, framing } from './field-checks.ts'
import { pointerTo } from './problems.ts'
import type { RouteConfig } from './schema.ts'
import type { Report } from './semantic-checks.ts'

const responseFraming = new Set(framing)
/** Made for each response: without them a cache behind this one would take it for younger than it is. */
const notRuled = new Set([...framing, 'age', 'date'])

export function checkResponse ({ response, match }: RouteConfig, place: string, report: Report): void {
  const at = `${place}/response`
  const segments = segmentNames(match.path)
  checkValues(response.setFields, `${at}/setFields`, responseFraming)
  for (const [index, field] of response.removeFields.entries()) checkField(field, `${at}/removeFields/${index}`, responseFraming, report)
  for (const [index, rule] of response.rules.entries()) {
    const ruleAt = `${at}/rules/${index}`
    checkValues(rule.set, `${ruleAt}/set`, notRuled)
    checkValues(rule.append, `${ruleAt}/append`, notRuled)
    for (const [number, field] of rule.remove.entries()) checkField(field, `${ruleAt}/remove/${number}`, notRuled, report)
    if ([rule.set, rule.append, rule.remove].every(changes => Object.keys(changes).length === 0)) report({ path: ruleAt, rule: 'changes', message: 'changes nothing: it must have remove, set or append' })
    const confirmations = rule.when.status?.filter(status => status === 304 || status === 206) ?? []
    if (confirmations.length > 0) report({ path: `${ruleAt}/when/status`, rule: 'status', message: `${confirmations.join(' and ')} count as the response that they are about: name that one` })
  }
  for (const [index, { name, rename, sameSite, secure }] of response.cookies.rules.entries()) {
    const ruleAt = `${at}/cookies/rules/${index}`
    if (rename !== undefined && name.endsWith('*')) report({ path: `${ruleAt}/rename`, rule: 'rename', message: 'would give several cookies one name' })
    if (sameSite === 'none' && !secure) report({ path: `${ruleAt}/sameSite`, rule: 'same-site', message: 'none needs `secure: true`: browsers refuse the cookie else' })
  }

  function checkValues (fields: Readonly<Record<string, string>>, where: string, refused: ReadonlySet<string>): void {
    checkUniqueFields(fields, where, report)
    for (const field of Object.keys(fields)) checkField(field, pointerTo(where, field), refused, report)
    checkTemplates(fields, where, segments, report)
  }
}
