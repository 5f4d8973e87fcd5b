/** Rules about what a route changes of a response. */
import { segmentNames } from '../routing/pattern.ts'
import { checkField, checkTemplates, checkUniqueFields, framing } from './field-checks.ts'
import { pointerTo } from './problems.ts'
import type { RouteConfig } from './schema.ts'
import type { Report } from './semantic-checks.ts'

const responseFraming = new Set(framing)

export function checkResponse ({ response, match }: RouteConfig, place: string, report: Report): void {
  const at = `${place}/response`
  checkUniqueFields(response.setFields, `${at}/setFields`, report)
  for (const field of Object.keys(response.setFields)) checkField(field, pointerTo(`${at}/setFields`, field), responseFraming, report)
  checkTemplates(response.setFields, `${at}/setFields`, segmentNames(match.path), report)
  for (const [index, field] of response.removeFields.entries()) checkField(field, `${at}/removeFields/${index}`, responseFraming, report)
}
