/** Rules about upstreams: targets that can be parsed and differ, a client certificate with its key. */
import type { Pieces } from '../pieces.ts'
import { pointerTo } from './problems.ts'
import type { UpstreamConfig } from './schema.ts'
import type { ConfigParts, Report } from './semantic-checks.ts'

export function * checkUpstreams ({ upstreams }: ConfigParts, report: Report): Pieces<void> {
  for (const [name, upstream] of upstreams) {
    if (upstream === null) continue
    const place = pointerTo('/upstreams', name)
    checkTargets(upstream, place, report)
    checkHost(upstream.host, place, report)
    if ((upstream.tls.cert === undefined) !== (upstream.tls.key === undefined)) {
      const [given, absent] = upstream.tls.cert === undefined ? ['key', 'cert'] : ['cert', 'key']
      report({ path: `${place}/tls/${given}`, rule: 'certificate-pair', message: `needs tls.${absent} beside it` })
    }
    yield
  }
}

/** The URL of a target, with or without weight. */
export function targetUrl (target: UpstreamConfig['targets'][number]): string {
  return typeof target === 'string' ? target : target.url
}

function checkTargets (upstream: UpstreamConfig, place: string, report: Report): void {
  const seen = new Map<string, number>()
  for (const [index, target] of upstream.targets.entries()) {
    const path = `${place}/targets/${index}${typeof target === 'string' ? '' : '/url'}`
    const value = targetUrl(target)
    if (!URL.canParse(value)) {
      report({ path, rule: 'origin', value, message: 'must be an origin such as http://127.0.0.1:3000; host or port are not valid' })
      continue
    }
    const { origin } = new URL(value)
    const first = seen.get(origin)
    if (first === undefined) seen.set(origin, index)
    else report({ path, rule: 'unique-target', value, message: `is the same target as number ${first}; give one target a weight instead` })
  }
}

/** Reports a `host` that cannot be sent. */
export function checkHost (host: string, place: string, report: Report): void {
  if (host === 'upstream' || host === 'client' || URL.canParse(`http://${host}`)) return
  report({ path: `${place}/host`, rule: 'host', value: host, message: 'must be `upstream`, `client`, or a valid host, with a port or without' })
}
