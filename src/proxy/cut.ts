/**
 * Why a response was ended from outside its own story: by a limit on clients, or by shutdown. Kept beside the response,
 * because whoever cuts a connection knows no Fastify request.
 */

export type CutCode = 'bad_request' | 'payload_too_large' | 'request_timeout' | 'too_many_fields' | 'uri_too_long' | 'write_timeout'

const codes = new WeakMap<object, CutCode>()

/** @param response the raw `ServerResponse`; the first reason counts */
export function noteCut (response: object, code: CutCode): void {
  if (!codes.has(response)) codes.set(response, code)
}

/** The reason noted, or null. */
export function cutCodeOf (response: object): CutCode | null {
  return codes.get(response) ?? null
}
