/** Whether a program is installed, and which version. Nothing is ever installed. */
import { spawnSync } from 'node:child_process'

export interface Program { readonly path: string, readonly version: string }

/** Debian and others keep servers out of the path of ordinary users. */
const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin` }

/** Null where it is not there. Some exit with 1 after they said their version. */
export function findProgram (name: string, versionFlag: string): Program | null {
  const { error, stdout, stderr } = spawnSync(name, [versionFlag], { encoding: 'utf8', env })
  if (error !== undefined) return null
  const version = /\d+\.\d+(?:\.\d+)?/.exec(`${stdout}${stderr}`)?.[0] ?? 'unknown version'
  const path = spawnSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8', env }).stdout.trim()
  return { path, version }
}
