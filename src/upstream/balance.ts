/** Which target gets a request. */
import type { Target } from './target.ts'

export type Balance = 'round-robin' | 'least-connections'

/**
 * A target with room, preferably one that is not out and not `except`; null when all that may be asked are full. When
 * every target is out, all may be asked: trying is better than refusing.
 */
export function chooseTarget (targets: readonly Target[], balance: Balance, now: number, except: Target | null): Target | null {
  const [only] = targets
  if (targets.length === 1 && only !== undefined) return only.hasRoom() ? only : null
  const standing = targets.filter(target => !target.isOut(now))
  const allowed = standing.length === 0 ? targets : standing
  const others = allowed.filter(target => target !== except)
  const candidates = (others.length === 0 ? allowed : others).filter(target => target.hasRoom())
  if (candidates.length <= 1) return candidates[0] ?? null
  return balance === 'least-connections' ? leastBusy(candidates) : nextInTurn(candidates)
}

function leastBusy (candidates: readonly Target[]): Target {
  let best = candidates[0] as Target
  for (const target of candidates) {
    if (target.inFlight() / target.weight < best.inFlight() / best.weight) best = target
  }
  return best
}

/** Smooth weighted round-robin: each gains its weight per turn, the chosen one pays the sum. */
function nextInTurn (candidates: readonly Target[]): Target {
  let total = 0
  let best = candidates[0] as Target
  for (const target of candidates) {
    total += target.weight
    target.current += target.weight
    if (target.current > best.current) best = target
  }
  best.current -= total
  return best
}
