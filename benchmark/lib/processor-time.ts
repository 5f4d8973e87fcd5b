/** Processor time as Linux counts it: what a server costs where requests per second also tell of whoever else is on the core. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

export const hasProcessorTime = existsSync('/proc/self/stat')
const ticksPerSecond = hasProcessorTime ? Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout) || 100 : 100

interface Stat { readonly parent: number, readonly ticks: number }

/** Microseconds of user and system time of a process, its threads and its descendants; null where there is no /proc. */
export function processorTime (pid: number): number | null {
  if (!hasProcessorTime) return null
  const stats = new Map<number, Stat>()
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? readStat(name) : null
    if (stat !== null) stats.set(Number(name), stat)
  }
  let ticks = 0
  for (const [member, stat] of stats) if (descends(member, pid, stats)) ticks += stat.ticks
  return ticks * (1_000_000 / ticksPerSecond)
}

/** Resident bytes of a process now, and at most so far. */
export function resident (pid: number): { readonly now: number, readonly most: number } {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kibibytes = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1])
  return { now: kibibytes('VmRSS') * 1024, most: kibibytes('VmHWM') * 1024 }
}

function readStat (pid: string): Stat | null {
  try {
    // The name of the program stands in parentheses and may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }
  } catch {
    return null
  }
}

function descends (member: number, ancestor: number, stats: ReadonlyMap<number, Stat>): boolean {
  for (let pid = member; pid > 1; pid = stats.get(pid)?.parent ?? 0) if (pid === ancestor) return true
  return false
}
