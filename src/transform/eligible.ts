/** Which responses may be transformed at all (RFC 9110 7.7). */
import { parseCacheControl } from '../http/cache-control.ts'
import { fieldValue, type FieldMap, type MutableFieldMap } from '../http/fields.ts'

/** Whole, uncoded, and nobody forbids it. */
export function mayTransform (statusCode: number, fields: FieldMap): boolean {
  return hasContent(statusCode) && statusCode !== 206 && fields['content-range'] === undefined && !isCoded(fields) && !forbidsTransform(fields)
}

function hasContent (statusCode: number): boolean {
  return statusCode >= 200 && statusCode !== 204 && statusCode !== 205 && statusCode !== 304
}

export function isCoded (fields: FieldMap): boolean {
  const value = fieldValue(fields, 'content-encoding')
  return value !== undefined && !/^[\s,]*(?:identity[\s,]*)*$/i.test(value)
}

/** Of a request as well as of a response. */
export function forbidsTransform (fields: FieldMap): boolean {
  return fields['cache-control'] !== undefined && parseCacheControl(fields).noTransform
}

/** In lower case, without parameters; empty where there is none, or more than one. */
export function mediaTypeOf (fields: FieldMap): string {
  const value = fields['content-type']
  return typeof value === 'string' ? value.split(';', 1).join('').trim().toLowerCase() : ''
}

/** Bytes; undefined where the length is not known. */
export function lengthOf (fields: FieldMap): number | undefined {
  const value = fieldValue(fields, 'content-length')
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined
}

/** Digests of the content or the representation, and what is said of its bytes: no longer true when they are others. */
export const aboutBytes = ['content-length', 'content-md5', 'digest', 'content-digest', 'repr-digest', 'accept-ranges', 'content-encoding'] as const

export function forgetBytes (fields: MutableFieldMap): void {
  for (const name of aboutBytes) delete fields[name]
}

/** Adds a name to `Vary`, unless it is there or anything matters anyway. */
export function addVary (fields: MutableFieldMap, name: string): void {
  const value = fieldValue(fields, 'vary')
  const names = value?.split(',').map(member => member.trim().toLowerCase()) ?? []
  if (names.includes('*') || names.includes(name)) return
  fields['vary'] = value === undefined || value.trim() === '' ? name : `${value}, ${name}`
}
