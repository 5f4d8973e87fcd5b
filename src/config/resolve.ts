/** From plain data to a complete configuration, or to everything that is wrong with it. */
import { completed, decoded } from './complete.ts'
import { partsOf } from './parts.ts'
import type { ConfigProblem } from './problems.ts'
import { isPlain } from './plain.ts'
import { ConfigSchema } from './schema.ts'
import type { Config } from './schema.ts'
import { checkMeaning } from './semantic-checks.ts'
import { fits, memberSchema, schemaNode, validate } from './validate.ts'
import type { SchemaNode } from './validate.ts'

export type Resolution = { readonly ok: true, readonly config: Config } | { readonly ok: false, readonly problems: ConfigProblem[] }

/** Completes, checks and decodes `tree`, which is left as it is. `reported` are places already known to be wrong. */
export function resolveTree (tree: unknown, reported: ReadonlySet<string> = new Set()): Resolution {
  const complete = completed(schemaNode(ConfigSchema), tree)
  const problems: ConfigProblem[] = []
  validate(schemaNode(ConfigSchema), complete, '', problem => {
    if (!reported.has(problem.path)) problems.push(problem)
  })

  if (isPlain(complete)) {
    // A rule that joins options says nothing where one of them is wrong in itself.
    const wrong = [...reported, ...problems.map(({ path }) => path)]
    checkMeaning(partsOf(complete, wrong), problem => {
      if (!wrong.some(path => isWithin(path, problem.path) || isWithin(problem.path, path))) problems.push(problem)
    })
  }
  if (problems.length > 0 || reported.size > 0) return { ok: false, problems }
  // It fits the schema, of which `Config` is the decoded type.
  return { ok: true, config: decoded(schemaNode(ConfigSchema), complete) as Config }
}

function isWithin (path: string, ancestor: string): boolean {
  return ancestor !== '' && (path === ancestor || path.startsWith(`${ancestor}/`))
}

/**
 * Numbers and switches come from the environment as text. Where the schema at a place does not take the text as it
 * is but takes the number or switch that it spells, that is meant.
 */
export function fromText (text: string, path: string): string | number | boolean {
  let schema: SchemaNode | undefined = schemaNode(ConfigSchema)
  for (const member of path.split('/').slice(1)) {
    const name = member.replaceAll('~1', '/').replaceAll('~0', '~')
    schema = schema?.anyOf === undefined ? schema : schema.anyOf.find(branch => branch.type === (/^\d+$/.test(name) ? 'array' : 'object')) ?? schema.anyOf.find(branch => branch.type === 'object')
    schema = schema && memberSchema(schema, name)
  }
  if (schema === undefined || fits(schema, text)) return text
  const trimmed = text.trim()
  const spelled = trimmed === 'true' || trimmed === 'false' ? trimmed === 'true' : /^-?\d+(\.\d+)?$/.test(trimmed) ? Number(trimmed) : text
  // Out of bounds is still meant as a number, and the report then says the bound.
  const kind = typeof spelled
  return fits(schema, spelled) || kindsOf(schema).includes(kind) ? spelled : text
}

function kindsOf (schema: SchemaNode): string[] {
  return (schema.anyOf ?? [schema]).map(({ type }) => type === 'integer' ? 'number' : type ?? '')
}
