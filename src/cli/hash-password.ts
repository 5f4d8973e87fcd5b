/** `holdfast hash-password`: the hash that `auth.basic` wants, of a password that is on no command line. */
import { hashPassword } from '../auth/passwords.ts'
import type { Output } from './check.ts'

/** As `auth.basic` takes them. */
const maxPasswordBytes = 1024

/** Reads the first line; resolves to the exit code, 0 or 1. */
export async function runHashPassword (input: AsyncIterable<Buffer | string>, out: Output): Promise<0 | 1> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of input) {
    const piece = Buffer.from(chunk)
    chunks.push(piece)
    bytes += piece.length
    if (piece.includes(0x0a) || bytes > maxPasswordBytes + 2) break
  }
  const [password = ''] = Buffer.concat(chunks).toString('utf8').split(/\r?\n/, 1)
  if (password === '' || Buffer.byteLength(password) > maxPasswordBytes) {
    out.write(`The first line of standard input is to be a password of 1 to ${maxPasswordBytes} bytes\n`)
    return 1
  }
  out.write(`${await hashPassword(password)}\n`)
  return 0
}
