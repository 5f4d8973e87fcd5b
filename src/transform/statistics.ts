/** Numbers about transformations of content. */
import type { CompressionCounts } from './compression.ts'

export interface TransformStatistics {
  readonly compression: CompressionCounts
  /** By name and code. */
  readonly failures: ReadonlyArray<{ readonly transform: string, readonly code: string, readonly count: number }>
  /** Content that is being collected at this moment. */
  readonly heldBytes: number
}
