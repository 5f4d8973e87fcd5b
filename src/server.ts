#!/usr/bin/env -S node --max-semi-space-size=16 --no-allocation-site-pretenuring --no-parallel-scavenge
/**
 * The command line: `holdfast [start|check|routes|hash-password|help|version] [flags]`.
 *
 * V8's young generation, which by default grows beyond 100 MB whatever is stored, is bounded where this is started: `maxBytes`
 * is a promise about the process (docs/performance.md).
 */
import { useCompileCache } from './cli/compile-cache.ts'

useCompileCache()
// Not imported above: what is loaded before the cache is in use is not in it.
const { main } = await import('./cli/main.ts')
await main(process.argv.slice(2))
