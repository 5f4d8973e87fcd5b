/** What can be measured: a server with a cache, or a yardstick. */
import type { Spawned } from '../lib/processes.ts'

export interface Certificate {
  /** Paths of PEM files; `both` has the key and the certificate. */
  readonly cert: string
  readonly key: string
  readonly both: string
}

/** What a scenario asks of a server beyond its usual configuration. */
export interface Settings {
  /** Room for stored responses, MiB; 256 unless said. */
  readonly cacheMiB?: number
  /** Routes in the configuration; the last of them is the one for everything. */
  readonly routes?: number
  /** Stored responses besides those that are asked for, made in the process itself; of 1 KiB each. */
  readonly preload?: number
  readonly tls?: boolean
  /** Of the environment of a server in Node, beyond the usual. */
  readonly env?: Readonly<Record<string, string>>
  /** As the configuration has them. */
  readonly extensions?: ReadonlyArray<{ readonly file: string, readonly options: object }>
  /** Further options of `cache`, and of the route for everything, as the configuration has them. */
  readonly cache?: object
  readonly route?: object
}

export interface StartInput {
  /** Folder of this server's own, in memory where the machine has a file system there. */
  readonly folder: string
  readonly origin: string
  readonly settings: Settings
  readonly certificate: Certificate | null
}

export interface Subject {
  readonly name: string
  readonly title: string
  /** A revision of this project, beside others of it. */
  readonly isOurs: boolean
  /** Why it cannot be measured here; null where it can. */
  readonly missing: string | null
  /** First line of what it says when asked for its version. */
  readonly version: string
  readonly start: (input: StartInput) => Promise<{ readonly spawned: Spawned, readonly port: number, readonly adminPort?: number }>
}

/** Those of these names that can be measured here, other revisions of them included. */
export function measurable (subjects: readonly Subject[], names: readonly string[]): Subject[] {
  return subjects.filter(({ name, missing }) => missing === null && names.includes(name.replace(/@.*/, '')))
}
