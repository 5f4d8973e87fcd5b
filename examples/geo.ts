/**
 * Tells the origin server the client's country, looked up in a local database file (MMDB, as GeoLite2, DB-IP and others
 * come in), which is read again when it changes. By default responses are stored apart per country.
 */
import { unwatchFile, watchFile } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import { Reader, type CountryResponse } from 'mmdb-lib'
import type {} from '../src/index.ts'

export const name = 'geo'

export const pluginOptionsSchema = {
  type: 'object',
  required: ['file'],
  properties: {
    file: { type: 'string', minLength: 1, description: 'Path of the database, relative to the working directory.' },
    checkMs: { type: 'integer', minimum: 10, default: 10_000, description: 'Milliseconds between two looks at whether it changed.' }
  }
} as const

export const optionsSchema = {
  type: 'object',
  properties: {
    field: { type: 'string', default: 'x-country', description: 'Request field that gets the two letters of the country; what a client says in it is dropped.' },
    unknown: { type: 'string', default: 'ZZ', description: 'Value for addresses that the database does not have.' },
    storeApart: { type: 'boolean', default: true, description: 'Store responses apart per country. Off where the origin server says `Vary` itself.' }
  }
} as const

interface Options { readonly field: string, readonly unknown: string, readonly storeApart: boolean }

export default async function geo (app: FastifyInstance, { file, checkMs }: { readonly file: string, readonly checkMs: number }): Promise<void> {
  const open = async (): Promise<Reader<CountryResponse>> => new Reader<CountryResponse>(await readFile(file))
  let database = await open()

  watchFile(file, { interval: checkMs, persistent: false }, reload)
  app.addHook('onClose', async () => { unwatchFile(file, reload) })

  function reload (): void {
    // A file that is being written, or is none: the one that was read before stays in use.
    open().then(next => { database = next }, (error: unknown) => { app.log.warn({ err: error, file }, 'the database cannot be read again') })
  }

  app.addFilter<Options>('preHandler', (context, { field, unknown, storeApart }) => {
    const country = database.get(context.clientAddress)?.country?.iso_code ?? unknown
    context.setField(field, country)
    if (storeApart) context.addKeyPart(name, country)
  })
}
