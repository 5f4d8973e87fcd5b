/** All scenarios, in the order in which they are measured. */
import type { Scenario } from '../lib/scenario.ts'
import { allocation } from './allocation.ts'
import { delays } from './delays.ts'
import { filterScenario } from './filters.ts'
import { growthScenarios } from './growth.ts'
import { hitScenarios } from './hits.ts'
import { micro } from './micro.ts'
import { missScenarios } from './misses.ts'
import { secureScenarios } from './secure.ts'
import { slowReaders } from './slow-readers.ts'
import { soakScenario } from './soak.ts'
import { stampede } from './stampede.ts'
import { start } from './start.ts'

export const scenarios: readonly Scenario[] = [...hitScenarios, ...secureScenarios, ...missScenarios, ...growthScenarios, filterScenario, stampede, slowReaders, start, micro, allocation, delays, soakScenario]
