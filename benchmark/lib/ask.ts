/** One request on a connection of its own, to see that what is measured is what was meant. */
import { request as plain } from 'node:http'
import { request as encrypted } from 'node:https'

export interface Answer {
  readonly status: number
  readonly bytes: number
  readonly text: string
}

const timeoutMs = 30_000

export function ask (url: string, fields: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? encrypted : plain)(url, { headers: fields, agent: false, timeout: timeoutMs, rejectUnauthorized: false } as object, response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => { chunks.push(chunk) })
      response.on('error', reject)
      response.on('end', () => {
        const content = Buffer.concat(chunks)
        resolve({ status: response.statusCode as number, bytes: content.length, text: content.subarray(0, 1000).toString() })
      })
    })
    request.on('timeout', () => { request.destroy(new Error(`${url}: no answer within ${timeoutMs} ms`)) })
    request.on('error', reject)
    request.end()
  })
}

/** Requests that the origin server of the benchmarks has had. */
export async function originCount (origin: string): Promise<number> {
  return Number((await ask(`${origin}/-/count`)).text)
}
