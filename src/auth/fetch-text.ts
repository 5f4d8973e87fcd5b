/** Asks another service on our own account, with a deadline and a bound on what it may send. */
import type { Dispatcher } from 'undici'

export interface FetchTextOptions {
  /** Until everything has come. */
  readonly timeoutMs: number
  readonly maxBytes: number
}

/** Rejects for anything but a 200 with UTF-8 text within the bounds. */
export type FetchText = (url: string, options: FetchTextOptions) => Promise<string>

export function createFetchText (dispatcher: Dispatcher): FetchText {
  return async (url, { timeoutMs, maxBytes }) => {
    const { origin, pathname, search } = new URL(url)
    const response = await dispatcher.request({ origin, path: pathname + search, method: 'GET', headers: { accept: 'application/json' }, signal: AbortSignal.timeout(timeoutMs) })
    const { statusCode, body } = response
    // What is thrown away, or cut off by the deadline, must not be an error that nobody hears.
    body.on('error', () => {})
    if (statusCode !== 200) {
      body.destroy()
      throw new Error(`answered ${statusCode}`)
    }
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if ((bytes += chunk.length) > maxBytes) throw new Error(`sent more than ${maxBytes} bytes`)
      chunks.push(chunk)
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  }
}
