/** What scenarios share: subjects, the origin server, folders, how long to measure. */
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHoldfasts, type Revision } from '../subjects/holdfast.ts'
import { createPeers } from '../subjects/peers.ts'
import type { Certificate, Settings, Subject } from '../subjects/subject.ts'
import { createYardsticks, startNode } from '../subjects/yardsticks.ts'
import { makeCertificate } from './certificate.ts'
import { stopAll, type Spawned } from './processes.ts'

export interface Timing {
  readonly rounds: number
  /** Times that each server is started, see `compare.ts`. */
  readonly instances: number
  /** Of one measurement, whole. */
  readonly seconds: number
}

export interface Server {
  readonly url: string
  /** Of the admin listener, where there is one. */
  readonly adminUrl: string | null
  readonly folder: string
  readonly spawned: Spawned
}

export interface Bench {
  readonly timing: Timing
  readonly revisions: readonly Revision[]
  readonly subjects: readonly Subject[]
  readonly origin: string
  readonly folder: string
  readonly start: (subject: Subject, settings?: Settings) => Promise<Server>
  readonly close: () => Promise<void>
}

/** nginx keeps stored responses in files: on a file system in memory they cost it no disk. */
const memoryFolder = '/dev/shm'
const roomBytes = 2 ** 30

export async function createBench (revisions: readonly Revision[], timing: Timing): Promise<Bench> {
  const folder = mkdtempSync(join(hasRoom(memoryFolder) ? memoryFolder : tmpdir(), 'holdfast-bench-'))
  const subjects = [...createYardsticks(), ...revisions.flatMap(createHoldfasts), ...createPeers()]
  let certificate: Certificate | null = null
  let servers = 0
  try {
    const { port } = await startNode('other', 'origin.ts', [])
    const origin = `http://127.0.0.1:${port}`
    return {
      timing,
      revisions,
      subjects,
      origin,
      folder,
      async start (subject, settings = {}) {
        const own = join(folder, `${servers++}-${subject.name.replace(/[^\w.-]/g, '-')}`)
        mkdirSync(own)
        if (settings.tls === true) certificate ??= await makeCertificate(folder)
        const started = await subject.start({ folder: own, origin, settings, certificate: settings.tls === true ? certificate : null })
        return {
          url: `${settings.tls === true ? 'https' : 'http'}://127.0.0.1:${started.port}`,
          adminUrl: started.adminPort === undefined ? null : `http://127.0.0.1:${started.adminPort}`,
          folder: own,
          spawned: started.spawned
        }
      },
      async close () {
        await stopAll()
        rmSync(folder, { recursive: true, force: true })
      }
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

function hasRoom (path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize > roomBytes
  } catch {
    return false
  }
}
