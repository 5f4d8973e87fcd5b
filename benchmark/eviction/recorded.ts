/**
 * Reads recorded traces, plain or `.gz`:
 *
 * - text, one request a line: `time key size`, parted by white space; `time` is not looked at, `size` is in bytes. Lines that begin
 *   with `#` are skipped.
 * - CSV whose first line names the columns: the key is in `key`, `id`, `obj_id`, `object_id` or `lbn`, the size in `size`, `obj_size`,
 *   `object_size`, `value_size` or `length`. Where there is no size, each key has one byte.
 * - CSV without names: `time,key,size`, or as Twitter's cache traces have it, `time,key,key_size,value_size,...` (7 columns).
 *
 * Values in quotes with a comma in them are not understood.
 */
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import { TraceWriter, type Trace } from './trace.ts'

const keyNames = ['key', 'id', 'obj_id', 'object_id', 'lbn']
const sizeNames = ['size', 'obj_size', 'object_size', 'value_size', 'length']

interface Columns { readonly key: number, readonly sizes: readonly number[] }

/** @throws {Error} where a line has no key, or a size that is no number */
export async function readTrace (path: string, maxRequests = Infinity): Promise<Trace> {
  const file = createReadStream(path)
  const input = path.endsWith('.gz') ? file.pipe(createGunzip()) : file
  // A failure to open or read ends up in the loop below only if the pipe hands it on.
  file.on('error', error => { input.destroy(error) })
  const writer = new TraceWriter()
  let columns: Columns | null = null
  let number = 0
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    number++
    if (line.trim() === '' || line.startsWith('#')) continue
    const values = valuesOf(line)
    if (columns === null) {
      const named = namedColumns(values)
      columns = named ?? columnsOf(values.length)
      if (named !== null) continue
    }
    const key = values[columns.key]
    const size = columns.sizes.reduce((sum, column) => sum + Number(values[column]), columns.sizes.length === 0 ? 1 : 0)
    if (key === undefined || key === '' || !Number.isFinite(size)) throw new Error(`${path}:${number}: no key and size: ${line.slice(0, 80)}`)
    writer.add(key, size)
    if (writer.length >= maxRequests) break
  }
  file.destroy()
  return writer.finish(basename(path))
}

function valuesOf (line: string): string[] {
  return line.includes(',') ? line.split(',').map(value => value.trim()) : line.trim().split(/\s+/)
}

function namedColumns (values: readonly string[]): Columns | null {
  const names = values.map(value => value.toLowerCase())
  const key = names.findIndex(name => keyNames.includes(name))
  const size = names.findIndex(name => sizeNames.includes(name))
  return key === -1 ? null : { key, sizes: size === -1 ? [] : [size] }
}

function columnsOf (count: number): Columns {
  if (count === 7) return { key: 1, sizes: [2, 3] }
  if (count >= 3) return { key: 1, sizes: [2] }
  return count === 2 ? { key: 1, sizes: [] } : { key: 0, sizes: [] }
}
