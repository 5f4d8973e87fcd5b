/** Kinds of options: how each is written, checked, decoded and described. Durations decode to milliseconds, sizes to bytes. */
import Type from './type.ts'
import type { TProperties } from 'typebox'
import { durationPattern, parseDuration, parseSize, sizePattern } from '../units.ts'

/** The farthest a Node timer reaches; one set for longer fires at once. */
const longestTimer = '24d'
/** Freshness lifetimes are instants, not timers: RFC 9111 1.2.2 asks for 2^31 seconds at most. */
export const longestLifetime = '24855d'

export function section<P extends TProperties> (description: string, properties: P) {
  return Type.Object(properties, { additionalProperties: false, default: {}, description })
}

/** Like `section`, for list members and optional objects, which must not spring into being from defaults. */
export function item<P extends TProperties> (description: string, properties: P) {
  return Type.Object(properties, { additionalProperties: false, description })
}

/** Bounds of a duration, as text; `least` matters where 0 would mean a timer that never rests. */
export interface DurationBounds { readonly least?: string, readonly most?: string }

function durationType (options: object, { least = '0s', most = longestTimer }: DurationBounds = {}) {
  return Type.Codec(Type.Union([
    Type.Number({ minimum: 0, description: 'seconds' }),
    Type.String({ pattern: durationPattern, description: 'number and unit: ms, s, m, h, d' })
  ], { ...options, unit: 'duration', least, most, expected: 'a duration such as 500ms, 10s, 5m, 2h, 1d, or a number of seconds' }))
    .Decode(parseDuration).Encode(milliseconds => `${milliseconds}ms`)
}

export function duration (description: string, value: string | number, bounds?: DurationBounds) {
  return durationType({ default: value, description }, bounds)
}

export function optionalDuration (description: string, bounds?: DurationBounds) {
  return Type.Optional(durationType({ description }, bounds))
}

function sizeType (options: object) {
  return Type.Codec(Type.Union([
    Type.Integer({ minimum: 0, description: 'bytes' }),
    Type.String({ pattern: sizePattern, description: 'number and unit: B, kB, MB, GB, KiB, MiB, GiB' })
  ], { ...options, unit: 'size', expected: 'a size such as 64KiB, 10MB, 1GiB, or a number of bytes' }))
    .Decode(parseSize).Encode(bytes => `${bytes}B`)
}

export function size (description: string, value: string | number) {
  return sizeType({ default: value, description })
}

export function optionalSize (description: string) {
  return Type.Optional(sizeType({ description }))
}

export function flag (description: string, value: boolean) {
  return Type.Boolean({ default: value, description })
}

export function count (description: string, value: number, bounds: { minimum: number, maximum?: number }) {
  return Type.Integer({ default: value, description, maximum: Number.MAX_SAFE_INTEGER, ...bounds })
}

export function choice<const V extends readonly string[]> (description: string, values: V, value: V[number]) {
  // Type.Enum derives the literal types only from a tuple of literals; the generic V is one, which it cannot see.
  return Type.Enum(values as unknown as string[], { default: value, description }) as unknown as import('typebox').TUnsafe<V[number]>
}

export function optionalChoice<const V extends readonly string[]> (description: string, values: V) {
  return Type.Optional(Type.Enum(values as unknown as string[], { description }) as unknown as import('typebox').TUnsafe<V[number]>)
}

export function texts (description: string, value: string[] = []) {
  return Type.Array(Type.String({ minLength: 1 }), { default: value, description })
}

export function prefix (description: string) {
  return Type.Optional(Type.String({ pattern: '^(/[^*?#\\s\\\\/]+)+$', expected: 'a path such as /base, without a slash at its end', description }))
}

export const name = (description: string) => Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$', expected: 'a name: 1 to 64 letters, digits, dots, dashes or underscores', description
})
export const fieldNamePattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
export const fieldName = Type.String({ pattern: fieldNamePattern, expected: 'a field name, such as x-team', description: 'A field name (RFC 9110 5.1).' })
export const fieldValue = Type.String({
  // Values may be credentials for the upstream: `writeOnly` keeps them out of problem reports.
  pattern: '^[\\t\\x20-\\x7e\\x80-\\xff]*$', writeOnly: true, expected: 'a field value without control characters'
})
export const fieldValues = (description: string) => Type.Record(fieldName, fieldValue, {
  // Not `additionalProperties: false`, over which Value.Default stumbles when a name does not fit the pattern.
  propertyNames: { pattern: fieldNamePattern, expected: 'a field name, such as x-team' }, default: {}, description
})
export const origin = (description: string) => Type.String({
  pattern: '^https?://[^/?#@\\s]+/?$', expected: 'an origin such as http://127.0.0.1:3000, without path, query or user name', description
})
