/** `npm run schema`: writes what is made from the configuration schema. */
import { writeFile } from 'node:fs/promises'
import { formatJsonSchema } from './json-schema.ts'
import { formatReference } from './reference.ts'

const root = new URL('../../', import.meta.url)
await writeFile(new URL('config/holdfast.schema.json', root), formatJsonSchema())
await writeFile(new URL('docs/configuration.md', root), formatReference())
