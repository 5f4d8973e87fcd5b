/** `Via` and the loops it shows (RFC 9110 section 7.6.3). */
import { randomBytes } from 'node:crypto'
import { fieldValue, type FieldMap, type MutableFieldMap } from '../http/fields.ts'

/** A pseudonym that no other instance has, so that seeing it means that a request has come back. */
export function createPseudonym (name: string): string {
  return `${name.replace(/[^A-Za-z0-9._-]/g, '-')}-${randomBytes(4).toString('hex')}`
}

/** Whether the message has passed the instance with this pseudonym before. */
export function hasPassed (fields: FieldMap, pseudonym: string): boolean {
  return fieldValue(fields, 'via')?.includes(` ${pseudonym}`) === true
}

/** Adds this hop. @param version of the message received, as in `1.1` */
export function appendVia (fields: MutableFieldMap, version: string, pseudonym: string): void {
  const before = fieldValue(fields, 'via')
  fields['via'] = before === undefined ? `${version} ${pseudonym}` : `${before}, ${version} ${pseudonym}`
}
