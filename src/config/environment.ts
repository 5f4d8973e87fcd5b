/** What the environment says: values put into a file's text, and settings that outrank the file. */

export type Environment = Readonly<Record<string, string | undefined>>

export type Substitution =
  | { readonly ok: true, readonly text: string, readonly replaced: boolean }
  | { readonly ok: false, readonly missing: readonly string[], readonly malformed: boolean }

const pattern = /\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\$\{)/g

/**
 * Replaces `${NAME}` by the variable and `${NAME:-default}` by the variable, or by the default when the variable
 * is not set or empty, as a shell does. `$${` stands for `${`. What was put in is not looked at again.
 */
export function substitute (text: string, env: Environment): Substitution {
  if (!text.includes('${')) return { ok: true, text, replaced: false }

  const missing: string[] = []
  let malformed = false
  let replaced = false
  const result = text.replace(pattern, (whole: string, escaped?: string, name?: string, fallback?: string) => {
    if (escaped !== undefined) return escaped
    if (name === undefined) {
      malformed = true
      return whole
    }
    replaced = true
    const value = variable(env, name)
    if (fallback !== undefined) return value === undefined || value === '' ? fallback : value
    if (value === undefined) missing.push(name)
    return value ?? ''
  })
  return missing.length > 0 || malformed ? { ok: false, missing, malformed } : { ok: true, text: result, replaced }
}

/** Settings that outrank the file. The flag outranks the variable. */
export interface Overrides {
  readonly host?: string
  readonly port?: number
  readonly adminHost?: string
  readonly adminPort?: number
  readonly logLevel?: string
  readonly workers?: number
}

export interface Setting {
  /** Section and option in the configuration. */
  readonly at: readonly [section: string, option: string]
  readonly value: string | number
  /** The flag or variable, as the operator knows it. */
  readonly source: string
}

interface SettingSource { readonly at: readonly [string, string], readonly variable: string, readonly flag?: string, readonly override?: keyof Overrides }

const settingSources: readonly SettingSource[] = [
  { at: ['server', 'host'], variable: 'HOLDFAST_HOST', flag: '--host', override: 'host' },
  { at: ['server', 'port'], variable: 'HOLDFAST_PORT', flag: '--port', override: 'port' },
  { at: ['server', 'workers'], variable: 'HOLDFAST_WORKERS', flag: '--workers', override: 'workers' },
  { at: ['admin', 'host'], variable: 'HOLDFAST_ADMIN_HOST', flag: '--admin-host', override: 'adminHost' },
  { at: ['admin', 'port'], variable: 'HOLDFAST_ADMIN_PORT', flag: '--admin-port', override: 'adminPort' },
  { at: ['admin', 'token'], variable: 'HOLDFAST_ADMIN_TOKEN' },
  { at: ['log', 'level'], variable: 'HOLDFAST_LOG_LEVEL', flag: '--log-level', override: 'logLevel' }
]

/** The settings of flags and environment. An empty variable counts as not set. */
export function settingsFrom (env: Environment, overrides: Overrides = {}): Setting[] {
  const settings: Setting[] = []
  for (const { at, variable: name, flag = '', override } of settingSources) {
    const flagValue = override === undefined ? undefined : overrides[override]
    const value = flagValue ?? nonEmpty(variable(env, name))
    if (value !== undefined) settings.push({ at, value, source: flagValue === undefined ? name : flag })
  }
  return settings
}

/** The upstream given by flag or by `HOLDFAST_UPSTREAM`. */
export function upstreamFrom (env: Environment, flag?: string): { readonly url: string, readonly source: string } | null {
  if (flag !== undefined) return { url: flag, source: '--upstream' }
  const url = nonEmpty(variable(env, 'HOLDFAST_UPSTREAM'))
  return url === undefined ? null : { url, source: 'HOLDFAST_UPSTREAM' }
}

/** Only own properties: `${constructor}` is no variable. */
function variable (env: Environment, name: string): string | undefined {
  return Object.hasOwn(env, name) ? env[name] : undefined
}

function nonEmpty (value: string | undefined): string | undefined {
  return value === '' ? undefined : value
}
