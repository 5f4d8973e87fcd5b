/** Keeps what goes wrong in a hook of an extension to its request, and says whose it was. */
import { ExtensionFailure } from './extension.ts'
import { failureOf, isThenable } from './run.ts'

/** Hooks of a request, which Fastify calls with request and reply first; others belong to the application's life. */
const requestHooks: ReadonlySet<string> = new Set(['onRequest', 'preParsing', 'preValidation', 'preHandler', 'preSerialization', 'onSend', 'onResponse', 'onError'])

type Hook = (this: unknown, ...args: unknown[]) => unknown
type Done = (error?: Error | null, value?: unknown) => void

export function isRequestHook (name: string): boolean {
  return requestHooks.has(name)
}

/** The same hook; its errors say whose they are, and calling back twice is an error that is logged and nothing else. */
export function guardHook (extension: string, name: string, hook: Hook, onTwice: (failure: ExtensionFailure) => void): Hook {
  const isAsync = hook.constructor.name === 'AsyncFunction'
  function guarded (this: unknown, ...args: unknown[]): unknown {
    const last = args.at(-1)
    let called = false
    const once: Done = (error, value) => {
      if (called) return onTwice(new ExtensionFailure(extension, name, 'extension_failed', new Error('called back twice')))
      called = true
      const done = last as Done
      if (error === undefined || error === null) done(null, value)
      else done(failureOf(extension, name, error))
    }
    let result: unknown
    try {
      result = hook.apply(this, typeof last === 'function' ? [...args.slice(0, -1), once] : args)
    } catch (error) {
      throw failureOf(extension, name, error)
    }
    return isThenable(result) ? result.then(undefined, (error: unknown) => { throw failureOf(extension, name, error) }) : result
  }
  // Fastify tells by kind and number of parameters whether a hook calls back; what it would refuse stays refused.
  const same: Hook = isAsync ? async function (this: unknown, ...args) { return await guarded.apply(this, args) } : guarded
  return Object.defineProperty(same, 'length', { value: hook.length })
}
