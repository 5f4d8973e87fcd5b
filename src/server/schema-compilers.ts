/**
 * The compilers of schemas that Fastify would load at once, loaded when the first schema needs them: neither listener has
 * one of its own, and with what they are made of (Ajv) they are 100 files. A filter of somebody's own may have a schema.
 */
import { createRequire } from 'node:module'

// From where Fastify is, as they are its dependencies.
const require = createRequire(createRequire(import.meta.url).resolve('fastify'))

type Builder = (...given: unknown[]) => unknown

function builderOf (name: string): Builder {
  let builder: Builder | undefined
  return (...given) => {
    builder ??= (require(name) as () => Builder)()
    return builder(...given)
  }
}

/** The option `schemaController` of Fastify. */
export const schemaController = {
  compilersFactory: {
    buildValidator: builderOf('@fastify/ajv-compiler'),
    buildSerializer: builderOf('@fastify/fast-json-stringify-compiler')
  }
}
