/** Credentials that are being judged: a client asks for many things at once, and who sends the same ones meanwhile waits for the same verdict. */
import type { Verdict } from './verdict.ts'

export type Told = (verdict: Verdict) => void

export interface UnderWay {
  /** Waits with others for a verdict under way; false where there is none. */
  join (digest: string, done: Told): boolean
  /** @returns what tells all of them */
  begin (digest: string, done: Told): Told
}

export function createUnderWay (): UnderWay {
  const asking = new Map<string, Told[]>()
  return {
    join (digest, done) {
      const others = asking.get(digest)
      others?.push(done)
      return others !== undefined
    },
    begin (digest, done) {
      const all = [done]
      asking.set(digest, all)
      return verdict => {
        asking.delete(digest)
        for (const tell of all) tell(verdict)
      }
    }
  }
}
