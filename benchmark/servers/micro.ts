/** `node servers/micro.ts ROOT`: nanoseconds of processor time of each operation, several times, by turns, as JSON. */
import { createOperations, type Operation } from './micro-operations.ts'

const turns = 5
const batchMs = 40
const operations = Object.entries(await createOperations(process.argv[2] as string))
/** What the operations give back goes here, or V8 would see that nobody asks for it. */
let last: unknown

function nanoseconds (operation: Operation, count: number): number {
  const before = process.threadCpuUsage()
  for (let i = 0; i < count; i++) last = operation(i)
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) * 1000 / count
}

/** As many as take a while, once V8 has compiled them. */
function countOf (operation: Operation): number {
  let count = 1000
  for (let took = 0; took < batchMs; count *= 2) took = nanoseconds(operation, count) * count / 1e6
  return count / 2
}

const counts = operations.map(([, operation]) => countOf(operation))
const measured: Record<string, number[]> = Object.fromEntries(operations.map(([title]) => [title, []]))
for (let turn = 0; turn < turns; turn++) {
  operations.forEach(([title, operation], i) => { measured[title]?.push(nanoseconds(operation, counts[i] as number)) })
}
if (last === undefined) throw new Error('nothing was done')
process.stdout.write(`${JSON.stringify(measured)}\n`)
