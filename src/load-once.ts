/** Packages that only some configurations use, loaded where the first of them does: the others start sooner without. */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** A function that loads the package when it is first called, at once. It throws where the package cannot be loaded. */
export function loadOnce<T> (name: string): () => T {
  let loaded: T | undefined
  return () => {
    loaded ??= require(name) as T
    return loaded
  }
}
