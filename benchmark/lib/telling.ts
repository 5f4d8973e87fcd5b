/** How a server under test tells of itself: on SIGUSR2 it writes a file, which is the same for whoever starts it. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { Spawned } from './processes.ts'

const patienceMs = 60_000

/** In the server; returns what ends it. */
export function tellOnSignal (file: string, tell: () => object): () => void {
  const write = (): void => {
    // In one step: whoever waits for it is not to read half of it.
    writeFileSync(`${file}.new`, JSON.stringify(tell()))
    renameSync(`${file}.new`, file)
  }
  process.on('SIGUSR2', write)
  return () => { process.off('SIGUSR2', write) }
}

/** In the benchmark: what the server tells now. */
export async function told<T extends object> ({ pid }: Spawned, file: string): Promise<T> {
  rmSync(file, { force: true })
  process.kill(pid, 'SIGUSR2')
  await until(() => existsSync(file), 'what the server tells of itself')
  return JSON.parse(readFileSync(file, 'utf8')) as T
}

export async function until (isSo: () => boolean, what: string): Promise<void> {
  const end = performance.now() + patienceMs
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`)
    await new Promise(resolve => { setTimeout(resolve, 20) })
  }
}
