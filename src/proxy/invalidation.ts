/** Carries out what the answer to an unsafe request invalidates (RFC 9111 section 4.4), here and wherever else is told of it. */
import { groupKey, groupsOf } from '../cache/groups.ts'
import type { HttpCache } from '../cache/http-cache.ts'
import { relatedTargets } from '../cache/invalidation.ts'
import type { FieldMap } from '../http/fields.ts'
import type { RequestTarget } from '../http/target.ts'
import { cacheKeyOf } from './cache-key-of.ts'
import type { Runtime } from './runtime.ts'

/** What an unsafe request has changed. Others work out their own keys, since their rules may differ for a moment. Plain data, to be sent to them. */
export interface Invalidation extends Pick<RequestTarget, 'scheme' | 'authority' | 'host'> {
  /** Path and query of each URI, as clients ask for it. */
  readonly uris: readonly string[]
  /** Keys of groups (RFC 9875). */
  readonly groups: readonly string[]
}

export interface Invalidator {
  /** An unsafe request was answered, with these fields and no error: invalidates the target, what `Location` and `Content-Location` name on the same origin, and groups. */
  answered (target: RequestTarget, fields: FieldMap): void
  /** Does what was answered elsewhere. */
  repeat (invalidation: Invalidation): void
}

export interface InvalidatorInput {
  readonly cache: HttpCache
  readonly current: () => Runtime
  /** Path prefix the proxy is registered under. */
  readonly prefix: string
  /** Tells others. */
  readonly tell: ((invalidation: Invalidation) => void) | undefined
  readonly log: { error (details: object, message: string): void }
}

export function createInvalidator ({ cache, current, prefix, tell, log }: InvalidatorInput): Invalidator {
  function act (invalidation: Invalidation): readonly string[] {
    const runtime = current()
    const keys = invalidation.uris.map(uri => cacheKeyOf(runtime, invalidation, uri, { prefix }))
    const groups = cache.invalidate(keys.filter(key => key !== null))
    // They belong to the origin, also where no route takes a GET for the target.
    cache.invalidateGroups(invalidation.groups)
    return groups
  }

  return {
    answered (target, fields) {
      const { scheme, authority, host } = target
      const own = target.path + target.query
      const invalidation: Invalidation = {
        scheme,
        authority,
        host,
        uris: [own, ...relatedTargets(fields, scheme, authority, own)],
        groups: groupsOf(fields, 'cache-group-invalidation').map(group => groupKey(scheme, authority, group))
      }
      const groups = act(invalidation)
      if (tell === undefined) return
      try {
        // Others may hold members of a group and not the response by which it is known here.
        tell({ ...invalidation, groups: [...new Set([...invalidation.groups, ...groups])] })
      } catch (error) {
        log.error({ err: error, code: 'invalidation_untold' }, 'others could not be told of an invalidation')
      }
    },

    repeat: invalidation => { act(invalidation) }
  }
}
