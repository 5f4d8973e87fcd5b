/** Own filters: which modules are loaded, and which of them a route uses. */
import Type from './type.ts'
import { duration, item } from './kinds.ts'

/** Options whose form the extension itself says. */
const freeOptions = (description: string) => Type.Record(Type.String(), Type.Unknown(), { default: {}, description })

const ExtensionSchema = item('An extension with options.', {
  file: Type.String({ minLength: 1, description: 'Path that begins with `./`, `../` or `/`, relative to the configuration file, of a `.ts`, `.mts`, `.js` or `.mjs` module; else the name of a package.' }),
  options: freeOptions('Options of the extension as a whole, handed to its plugin; held against the `pluginOptionsSchema` of the module if it has one.'),
  timeout: duration('How long one of its filters may take for one request, or one of its transformations neither give nor ask for anything, before that is answered 504; 0 for no limit.', '30s')
})

export const ExtensionsSchema = Type.Array(
  Type.Union([Type.String({ minLength: 1, description: 'the file alone' }), ExtensionSchema], { expected: 'a file such as ./my-filter.ts, or a section with file and options' }),
  { default: [], maxItems: 100, description: 'Modules with filters of your own, in the order in which they act (docs/extending.md). Loaded at the start, so a change needs a restart.' }
)

export const RouteExtensionsSchema = Type.Record(
  Type.String(),
  Type.Union([Type.Boolean({ description: 'without options' }), freeOptions('options')], { expected: 'true, or a section with options of the extension' }),
  { default: {}, description: 'Own filters that the route uses, by the name of their extension; the value is their options here, `true` for none, `false` as if it were not there. They act in the order of the list `extensions`.' }
)
