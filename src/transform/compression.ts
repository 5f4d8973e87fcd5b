/** Compression as a step among transformations: when, and what is said of it. */
import type { CompressionConfig } from '../config/schema.ts'
import type { FieldMap } from '../http/fields.ts'
import { createCodingChooser, type Coding, type CodingChoice } from './codings.ts'
import { compress } from './compress.ts'
import type { Step } from './chain.ts'
import { addVary, forbidsTransform, isCoded, lengthOf, mediaTypeOf } from './eligible.ts'

export interface CompressionCounts {
  /** Responses, by coding. */
  readonly compressed: Record<Coding, number>
  /** Passed uncompressed because too many were being compressed. */
  skipped: number
  running: number
}

export interface Compression {
  readonly choose: (acceptEncoding: string | undefined) => CodingChoice
  /** What is done for clients of one class. */
  stepFor (coding: Coding | 'identity'): Step
  /** Whether such content would be compressed, and at this moment could be. */
  hasRoomFor (fields: FieldMap): boolean
}

export function createCompression (config: CompressionConfig, counts: CompressionCounts): Compression {
  const isType = createTypeTest(config.types)
  let running = 0
  const steps = new Map<Coding | 'identity', Step>((['identity', ...config.codings] as const).map(coding => [coding, coding === 'identity' ? noted() : compressing(coding)]))
  return {
    choose: createCodingChooser(config.codings),
    stepFor: coding => steps.get(coding) as Step,
    hasRoomFor: fields => isFor(fields) && running < config.maxConcurrent
  }

  function isLargeEnough (length: number | undefined): boolean {
    return length === undefined || length >= config.minBytes
  }

  function isFor (fields: FieldMap): boolean {
    return isType(mediaTypeOf(fields)) && isLargeEnough(lengthOf(fields))
  }

  /** Everything that could have been compressed differs by what clients accept, and so does what the origin server compressed. */
  function note (statusCode: number, fields: Parameters<NonNullable<Step['note']>>[1]): void {
    if (statusCode < 200 || statusCode === 204 || statusCode === 205 || statusCode === 304 || forbidsTransform(fields)) return
    // Of a part the length is not that of the whole.
    const length = statusCode === 206 ? undefined : lengthOf(fields)
    if (isCoded(fields) || (isType(mediaTypeOf(fields)) && isLargeEnough(length))) addVary(fields, 'accept-encoding')
  }

  function noted (): Step {
    return { id: '', name: 'compression', wholeOnly: false, note, when: () => false, change () {}, content: { kind: 'stream', through: content => content } }
  }

  function compressing (coding: Coding): Step {
    return {
      id: coding,
      name: 'compression',
      wholeOnly: false,
      note,
      when: ({ fields }) => {
        if (!isFor(fields)) return false
        if (running < config.maxConcurrent) return true
        counts.skipped++
        return false
      },
      change (fields) { fields['content-encoding'] = coding },
      content: {
        kind: 'stream',
        through (content, { fields }) {
          running++
          counts.running++
          counts.compressed[coding]++
          return compress(content, coding, config.level, lengthOf(fields)).once('close', () => {
            running--
            counts.running--
          })
        }
      }
    }
  }
}

/** `text/event-stream` waits for nothing, and is one of `text/*` only for who does not know it. */
function createTypeTest (types: readonly string[]): (type: string) => boolean {
  const named = new Set(types.filter(type => !type.endsWith('/*')))
  const groups = types.filter(type => type.endsWith('/*')).map(type => type.slice(0, -1))
  return type => named.has(type) || (type !== 'text/event-stream' && groups.some(group => type.startsWith(group)))
}
