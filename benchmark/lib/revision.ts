/** Another revision of this project, checked out beside this one for the time of a run, with the dependencies of this one. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Revision } from '../subjects/holdfast.ts'

export const root = join(import.meta.dirname, '../..')
const git = (...args: readonly string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()

export interface CheckedOut extends Revision { readonly remove: () => void }

/** @param ref anything that git takes for a commit. Throws with what git says where it is none. */
export function checkOut (ref: string): CheckedOut {
  const commit = git('rev-parse', '--verify', '--end-of-options', `${ref}^{commit}`)
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  const path = join(folder, 'checkout')
  const remove = (): void => {
    try {
      git('worktree', 'remove', '--force', path)
    } finally {
      rmSync(folder, { recursive: true, force: true })
      git('worktree', 'prune')
    }
  }
  git('worktree', 'add', '--detach', path, commit)
  symlinkSync(realpathSync(join(root, 'node_modules')), join(path, 'node_modules'))
  return { root: path, label: git('rev-parse', '--short', commit), remove }
}

/** Of this checkout: the commit, and whether there are changes on it. */
export function describeCheckout (): string {
  try {
    return git('describe', '--always', '--dirty')
  } catch {
    return 'no git'
  }
}
