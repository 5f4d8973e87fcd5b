/** A certificate that nobody trusts, for one run. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import type { Certificate } from '../subjects/subject.ts'

export async function makeCertificate (folder: string): Promise<Certificate> {
  const made = await generate([{ name: 'commonName', value: 'bench.test' }], { keyType: 'ec', curve: 'P-256' })
  const paths = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem'), both: join(folder, 'both.pem') }
  writeFileSync(paths.cert, made.cert)
  writeFileSync(paths.key, made.private)
  writeFileSync(paths.both, `${made.private}\n${made.cert}\n`)
  return paths
}
