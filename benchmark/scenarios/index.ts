/** All scenarios, in the order in which they are measured. */
import type { Scenario } from '../lib/scenario.ts'
import { hitScenarios } from './hits.ts'
import { missScenarios } from './misses.ts'

export const scenarios: readonly Scenario[] = [...hitScenarios, ...missScenarios]
