/**
 * Keeps what Node compiles, and the TypeScript that it strips, for the next start (`module.enableCompileCache`, Node 22.8).
 *
 * It lies in the user's own folder and not, as Node would have it, in the one for temporary files: who may write there could
 * leave code for us to run. `NODE_COMPILE_CACHE` names another folder, `NODE_DISABLE_COMPILE_CACHE=1` turns it off.
 */
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Never throws: a folder that cannot be written, or a user without one, means a start without. */
export function useCompileCache (): void {
  try {
    const { XDG_CACHE_HOME, NODE_COMPILE_CACHE } = process.env
    if (NODE_COMPILE_CACHE) return // In use already.
    const folder = XDG_CACHE_HOME || join(homedir(), '.cache')
    enableCompileCache(join(folder, 'holdfast'))
  } catch {
    // homedir() throws for a user that the system does not know.
  }
}
