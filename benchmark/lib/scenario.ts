/** A scenario is a description; `compare.ts` measures those that are tables of load, others have a way of their own. */
import type { Settings } from '../subjects/subject.ts'
import type { Paths } from './load.ts'
import type { Bench } from './bench.ts'
import type { Table } from './table.ts'

export interface Asked {
  /** Or the first one asked for, where there are `paths`. */
  readonly path: string
  readonly paths?: Paths
  readonly fields?: Readonly<Record<string, string>>
  readonly http2?: boolean
  /** Asked for before anything is measured, so that it is stored; with these fields. */
  readonly first?: ReadonlyArray<Readonly<Record<string, string>>>
  /** Of the second answer; bytes are null where they are not what they were at the origin server. */
  readonly expect: { readonly status: number, readonly bytes: number | null }
  /** Whether the origin server has to have every request, or none. */
  readonly origin: 'all' | 'none'
}

export interface Row {
  /** Name of the subject. */
  readonly subject: string
  /** What is added to the subject's title. */
  readonly title?: string
  readonly asked: Asked
  readonly settings?: Settings
  readonly connections?: number
}

export interface LoadScenario {
  readonly name: string
  readonly title: string
  /** The first of them that can be measured is the yardstick. */
  readonly rows: readonly Row[]
  /** Measure one connection by itself, too. */
  readonly alone?: boolean
  readonly isLong?: boolean
  /** Of a measurement, where one that is shorter would be about making connections. */
  readonly leastSeconds?: number
  /** What is left out, and why. */
  readonly notes?: readonly string[]
}

export interface OwnScenario {
  readonly name: string
  readonly title: string
  /** Takes minutes, and is only measured when it is named. */
  readonly isLong?: boolean
  readonly run: (bench: Bench) => Promise<Table>
}

export type Scenario = LoadScenario | OwnScenario

/** Connections of a load, unless a scenario is about them. */
export const usualConnections = 64
