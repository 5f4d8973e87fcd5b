/** The reference of all options, `docs/configuration.md`, made from the schema. */
import { ConfigSchema } from './schema.ts'
import { schemaNode } from './validate.ts'
import type { SchemaNode } from './validate.ts'

const introduction = `# Configuration

<!-- Made from src/config/schema.ts by \`npm run schema\`. Do not edit. -->

A configuration is a YAML or JSON file, given with \`--config FILE\`. \`config/example.yaml\` is one to start from; \`holdfast check --config FILE\`
says everything that is wrong with one, with line and rule, and prints the route table if nothing is.
\`config/holdfast.schema.json\` gives an editor completion and checks:

\`\`\`yaml
# yaml-language-server: $schema=./holdfast.schema.json
\`\`\`

In JSON the option \`$schema\` does the same.

An option without value is as if it were not written. Unknown options are errors. Paths of files are relative to the configuration file.

## Units

A **duration** is a number of seconds or text such as \`500ms\`, \`10s\`, \`5m\`, \`2h\`, \`1d\`. A **size** is a number of bytes or text such as
\`64KiB\`, \`10MB\`, \`1GiB\` (kB, MB, GB are powers of 1000; KiB, MiB, GiB of 1024).

## Values from the environment

\`\${NAME}\` in a value stands for an environment variable, \`\${NAME:-default}\` has a default for one that is not set or empty. \`$\${\` stands for
\`\${\` itself. A variable that is not set and has no default is an error. What a variable holds is a value and never structure; where a number
or \`true\`/\`false\` is wanted, its text is read as one. Inside \`[ ]\` and \`{ }\` YAML wants such a value in quotes.

## What outranks what

Flags outrank environment variables, which outrank the file, which outranks the defaults.

| Flag | Variable | Option |
|---|---|---|
| \`--host\` | \`HOLDFAST_HOST\` | \`server.host\` |
| \`--port\` | \`HOLDFAST_PORT\` | \`server.port\` |
| \`--workers\` | \`HOLDFAST_WORKERS\` | \`server.workers\` |
| \`--admin-host\` | \`HOLDFAST_ADMIN_HOST\` | \`admin.host\` |
| \`--admin-port\` | \`HOLDFAST_ADMIN_PORT\` | \`admin.port\` |
| | \`HOLDFAST_ADMIN_TOKEN\` | \`admin.token\` |
| \`--log-level\` | \`HOLDFAST_LOG_LEVEL\` | \`log.level\` |
| \`--upstream\` | \`HOLDFAST_UPSTREAM\` | \`upstreams.default.targets\` |

\`--upstream URL\` alone sends every request to that URL, with caching on and no filter. Beside \`--config\` it gives the upstream called
\`default\` its only target; everything else in the file stays, so a file may leave \`upstreams\` out and have routes with
\`upstream: default\`. A file without \`routes\` gets one route for everything. A file whose routes never lead to \`default\` is an error then. A path in
the URL (\`https://example.com/base\`) is put before the path of each such request, as \`rewrite.addPrefix\` does.

## Which route a request takes

The most specific one; the order in the file does not matter. \`holdfast routes\` prints them in this order:

1. **Host**: an exact name, then \`*.example.com\` (the longest first; it stands for one or more labels, not for \`example.com\` itself), then any host.
2. **Path**, segment by segment from the left: plain text before \`:name\` before \`/*\`. So \`/users/new\` comes before \`/users/:id\`, that before \`/users/*\`, and
   \`/users/42/*\` before \`/users/:id/avatar\`. \`:name\` stands for exactly one segment that is not empty. \`/prefix/*\` also matches \`/prefix\` and \`/prefix/\`.
   Letters are compared as they are, after the path of the request was normalised.
3. **Methods**: a route that names the method before one that names none. A route whose methods do not fit is passed over for less specific ones.
   \`GET\` does not imply \`HEAD\`.

Two routes for the same requests are an error. A request that fits no route is answered 404.

## Options

In paths, \`[]\` stands for an entry of a list and \`<name>\` for a name of your choice.
`

interface Row { readonly path: string, readonly schema: SchemaNode, readonly required: boolean }

/** The text of `docs/configuration.md`. */
export function formatReference (): string {
  const top = schemaNode(ConfigSchema)
  const sections = Object.entries(top.properties ?? {}).filter(([name]) => name !== '$schema').map(([name, schema]) => {
    const rows = [...rowsOf(schema, name, true)].map(formatRow)
    const heading = ['Option', 'Type', 'Default', 'Bounds', 'Effect']
    return [`### ${name}`, '', schema.description ?? '', '', formatLine(heading), formatLine(heading.map(() => '---')), ...rows].join('\n')
  })
  return `${introduction}\n${sections.join('\n\n')}\n`
}

function * rowsOf (schema: SchemaNode, path: string, isTop: boolean): Generator<Row> {
  for (const [name, member] of Object.entries(schema.properties ?? {})) {
    const place = `${path}.${name}`
    yield { path: place, schema: member, required: schema.required?.includes(name) === true && member.default === undefined }
    yield * rowsOf(member, place, false)
  }
  const entry = schema.properties === undefined ? Object.values(schema.patternProperties ?? {})[0] : undefined
  if (entry?.properties !== undefined) yield * rowsOf(entry, `${path}.<name>`, false)
  if (schema.items !== undefined) yield * rowsOf(schema.items, `${path}[]`, isTop)
  for (const branch of schema.anyOf ?? []) if (branch.type === 'object') yield * rowsOf(branch, path, isTop)
}

function formatRow ({ path, schema, required }: Row): string {
  return formatLine([`\`${path}\``, typeOf(schema), defaultOf(schema, required), boundsOf(schema), effectOf(schema)])
}

const listed: Readonly<Record<string, string>> = { object: 'sections', integer: 'whole numbers', string: 'texts' }

function typeOf (schema: SchemaNode): string {
  if (schema.unit !== undefined) return schema.unit
  if (schema.enum !== undefined) return schema.enum.map(word => `\`${word}\``).join(', ')
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' or ')
  if (schema.items !== undefined) return `list of ${listed[schema.items.type ?? ''] ?? typeOf(schema.items)}`
  const named = Object.values(schema.patternProperties ?? {})[0]
  if (named !== undefined) return named.type === 'string' ? 'text by name' : 'options by name'
  const names: Readonly<Record<string, string>> = { object: 'section', string: 'text', integer: 'whole number', boolean: '`true`, `false`' }
  return names[schema.type ?? ''] ?? schema.type ?? ''
}

function defaultOf (schema: SchemaNode, required: boolean): string {
  if (required) return '**required**'
  if (schema.type === 'object' && schema.patternProperties === undefined) return ''
  if (schema.default === undefined) return 'none'
  return `\`${typeof schema.default === 'string' ? schema.default : JSON.stringify(schema.default)}\``
}

function boundsOf (schema: SchemaNode): string {
  if (schema.unit === 'duration') return `${schema.least === '0s' ? 0 : schema.least} to ${schema.most}`
  if (schema.unit === 'size') return 'at least 0'
  const inner = schema.items ?? schema
  const parts = [
    range(schema.minimum, schema.maximum === Number.MAX_SAFE_INTEGER ? undefined : schema.maximum),
    schema.minLength === undefined || schema.minLength === 1 ? '' : `at least ${schema.minLength} characters`,
    range(schema.minItems, schema.maxItems, ' entries'),
    inner.expected ?? '',
    inner === schema ? '' : range(inner.minimum, inner.maximum)
  ]
  return parts.filter(part => part !== '').join('; ')
}

function range (least: number | undefined, most: number | undefined, what = ''): string {
  if (least === undefined && most === undefined) return ''
  if (most === undefined) return `at least ${least}${what === ' entries' && least === 1 ? ' entry' : what}`
  return `${least ?? 0} to ${most}${what}`
}

/** Without the sentence about the form of the value, which has its own column. */
function effectOf (schema: SchemaNode): string {
  return `${schema.description ?? ''}${schema.writeOnly === true || schema.items?.writeOnly === true ? ' Never shown in logs.' : ''}`
}

function formatLine (cells: readonly string[]): string {
  return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
