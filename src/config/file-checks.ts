/** Files named in a configuration: where they are; of certificates and keys, that they can be read and belong together. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Pieces } from '../pieces.ts'
import { readPage } from '../errors/error-pages.ts'
import { resolveModule } from '../extensions/resolve.ts'
import { parseKeys } from '../auth/jwks.ts'
import { parseUsers } from '../auth/users-file.ts'
import { authFiles, withAuthFiles } from './auth-checks.ts'
import { pointerTo } from './problems.ts'
import type { ConfigProblem } from './problems.ts'
import type { Config } from './schema.ts'

type Report = (problem: ConfigProblem) => void
interface Pair { readonly cert?: string, readonly key?: string }

/** The same configuration with its paths made absolute: they are relative to the file that names them. */
export function * resolvePaths (config: Config, file: string): Pieces<Config> {
  const from = dirname(resolve(file))
  const absolute = <T extends Pair & { readonly ca?: string }>(paths: T): T => ({
    ...paths,
    ...paths.ca !== undefined && { ca: resolve(from, paths.ca) },
    ...paths.cert !== undefined && { cert: resolve(from, paths.cert) },
    ...paths.key !== undefined && { key: resolve(from, paths.key) }
  })
  const { tls, ...server } = config.server
  const { snapshot } = config.cache
  const routes: Config['routes'] = []
  for (const route of config.routes) {
    const { auth, response: { errorPages } } = route
    routes.push({
      ...route,
      ...auth !== undefined && { auth: withAuthFiles(auth, path => resolve(from, path)) },
      response: errorPages.length === 0 ? route.response : { ...route.response, errorPages: errorPages.map(page => ({ ...page, file: resolve(from, page.file) })) }
    })
    yield
  }
  const extensionFile = (named: string): string => {
    try {
      return resolveModule(named, from)
    } catch {
      // It is told where it would be loaded.
      return named
    }
  }
  return {
    ...config,
    routes,
    errorPages: config.errorPages.map(page => ({ ...page, file: resolve(from, page.file) })),
    extensions: config.extensions.map(entry => typeof entry === 'string' ? extensionFile(entry) : { ...entry, file: extensionFile(entry.file) }),
    cache: snapshot.file === undefined ? config.cache : { ...config.cache, snapshot: { ...snapshot, file: resolve(from, snapshot.file) } },
    server: tls === undefined
      ? server
      : { ...server, tls: { ...tls, certificates: tls.certificates.map(absolute), ...tls.clientCertificates !== undefined && { clientCertificates: absolute(tls.clientCertificates) } } },
    upstreams: Object.fromEntries(Object.entries(config.upstreams).map(([name, upstream]) => [name, { ...upstream, tls: absolute(upstream.tls) }]))
  }
}

/** Reads every file named; reports those that cannot be used. Never throws. */
export async function checkFiles (config: Config, report: Report): Promise<void> {
  for (const [index, pair] of (config.server.tls?.certificates ?? []).entries()) {
    await checkPair(pair, `/server/tls/certificates/${index}`, report)
  }
  const { clientCertificates } = config.server.tls ?? {}
  if (clientCertificates !== undefined) await checkFile(clientCertificates.ca, '/server/tls/clientCertificates/ca', 'certificates', parseCertificate, report)
  for (const [index, { auth }] of config.routes.entries()) {
    if (auth === undefined) continue
    for (const { file, path, holds } of authFiles(auth, `/routes/${index}/auth`)) await checkText(file, path, holds === 'users' ? parseUsers : parseKeys, report)
  }
  for (const [name, { tls }] of Object.entries(config.upstreams)) {
    const place = `${pointerTo('/upstreams', name)}/tls`
    if (tls.ca !== undefined) await checkFile(tls.ca, `${place}/ca`, 'certificates', parseCertificate, report)
    await checkPair(tls, place, report)
  }
  for (const [number, { file }] of config.errorPages.entries()) checkPage(file, `/errorPages/${number}/file`, report)
  for (const [index, { response }] of config.routes.entries()) {
    for (const [number, { file }] of response.errorPages.entries()) {
      checkPage(file, `/routes/${index}/response/errorPages/${number}/file`, report)
      await nextTurn()
    }
  }
}

function checkPage (file: string, path: string, report: Report): void {
  try {
    readPage(file)
  } catch (error) {
    if (error instanceof RangeError) return report({ path, rule: 'size', value: file, message: error.message })
    const { code } = error as NodeJS.ErrnoException // The file system throws nothing else.
    report({ path, rule: 'readable-file', value: file, message: `cannot be read: ${code === 'ENOENT' ? 'there is no such file' : code}` })
  }
}

async function checkPair (pair: Pair, place: string, report: Report): Promise<void> {
  const cert = pair.cert === undefined ? null : await checkFile(pair.cert, `${place}/cert`, 'a certificate', parseCertificate, report)
  const key = pair.key === undefined ? null : await checkFile(pair.key, `${place}/key`, 'a private key', parseKey, report)
  if (cert !== null && key !== null && !cert.checkPrivateKey(key)) {
    report({ path: `${place}/key`, rule: 'matching-key', value: pair.key, message: 'is not the private key of the certificate beside it' })
  }
}

async function checkFile<T> (file: string, path: string, what: string, parse: (pem: Buffer) => T, report: Report): Promise<T | null> {
  const pem = await readNamed(file, path, report)
  if (pem === null) return null
  try {
    return parse(pem)
  } catch {
    report({ path, rule: 'pem', value: file, message: `must be a PEM file with ${what}` })
    return null
  }
}

/** What is wrong is said by the parser, which tells nothing of what the file holds. */
async function checkText (file: string, path: string, parse: (text: string) => unknown, report: Report): Promise<void> {
  const bytes = await readNamed(file, path, report)
  if (bytes === null) return
  try {
    parse(bytes.toString('utf8'))
  } catch (error) {
    report({ path, rule: 'file-content', value: file, message: (error as Error).message })
  }
}

async function readNamed (file: string, path: string, report: Report): Promise<Buffer | null> {
  try {
    return await readFile(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException // readFile rejects with nothing else
    report({ path, rule: 'readable-file', value: file, message: `cannot be read: ${code === 'ENOENT' ? 'there is no such file' : code}` })
    return null
  }
}

function parseCertificate (pem: Buffer): X509Certificate {
  return new X509Certificate(pem)
}

function parseKey (pem: Buffer): KeyObject {
  return createPrivateKey(pem)
}
