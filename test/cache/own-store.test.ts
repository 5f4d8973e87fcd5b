/** What a store gets to keep: an application's own holds no more memory than the entries say, as ours does not. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { createMemoryStore } from '../../src/cache/memory-store.ts'
import type { CacheStore, StoredEntry, StoreStatistics } from '../../src/cache/store.ts'
import { get, startProxy, talk } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** As an application may write it. */
class OwnStore implements CacheStore {
  readonly #kept = new Map<string, StoredEntry[]>()

  variants (key: string): readonly StoredEntry[] { return this.#kept.get(key) ?? [] }
  entries (): Iterable<StoredEntry> { return [...this.#kept.values()].flat() }
  tagged (tag: string): Iterable<StoredEntry> { return [...this.entries()].filter(({ tags }) => tags.includes(tag)) }
  grouped (group: string): Iterable<StoredEntry> { return [...this.entries()].filter(({ groups }) => groups.includes(group)) }
  ofUri (uri: string): Iterable<StoredEntry> { return [...this.entries()].filter(entry => entry.uri === uri) }
  touch (): void {}

  put (entry: StoredEntry, replaces: StoredEntry | null): boolean {
    this.#kept.set(entry.key, [...this.variants(entry.key).filter(other => other !== replaces), entry])
    return true
  }

  remove (entry: StoredEntry): void { this.#kept.set(entry.key, this.variants(entry.key).filter(other => other !== entry)) }

  removeKey (key: string): number {
    const { length } = this.variants(key)
    this.#kept.delete(key)
    return length
  }

  async removeWhere (predicate: (entry: StoredEntry) => boolean): Promise<number> {
    const leaving = [...this.entries()].filter(predicate)
    for (const entry of leaving) this.remove(entry)
    return leaving.length
  }

  clear (): void { this.#kept.clear() }

  statistics (): StoreStatistics {
    const entries = [...this.entries()]
    return { bytes: entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), maxBytes: 2 ** 30, entries: entries.length, maxEntries: 1e6, evictions: 0, keys: this.#kept.size, tags: 0 }
  }
}

const count = 300
const ours = (): CacheStore => createMemoryStore({ maxBytes: 2 ** 26, maxEntries: 1e5, maxVariants: 32 })

for (const [name, fields, createStore] of [
  ['small responses in a store of the application\'s own', [], () => new OwnStore()],
  ['small parts in a store of the application\'s own', ['Range: bytes=10-1009'], () => new OwnStore()],
  ['small parts in ours', ['Range: bytes=10-1009'], ours]
] as const) {
  t.test(`${name} keep no memory alive that others share`, async t => {
    const content = 'x'.repeat(1000)
    const origin = await startRawOrigin(t, () => fields.length > 0
      ? response(content, ['Cache-Control: max-age=3600', 'ETag: "1"', 'Content-Range: bytes 10-1009/1000000'], '206 Partial Content')
      : response(content, ['Cache-Control: max-age=3600']))
    const store = createStore()
    const { port } = await startProxy(t, origin.url, { holdfast: { store } })
    const held = async (): Promise<number> => {
      for (let i = 0; i < 3; i++) {
        collect()
        await new Promise(resolve => { setTimeout(resolve, 10) })
      }
      return process.memoryUsage().arrayBuffers
    }
    for (let i = 0; i < 20; i++) await talk(port, get(`/warm${i}`, fields))
    const before = await held()

    for (let i = 0; i < count; i++) {
      await talk(port, get(`/${i}`, fields))
      // Others take from the pool what is between two of them.
      for (let j = 0; j < 4; j++) Buffer.allocUnsafe(20_000)
    }

    t.equal(store.statistics().entries, count + 20)
    const each = (await held() - before) / count
    t.ok(each < 8000, `${Math.round(each)} bytes for each`)
    const [entry] = [...store.entries()].slice(-1)
    t.equal(String(entry?.parts?.segments[0]?.bytes ?? entry?.body), content)
  })
}
