import t from 'tap'
import { decimal } from '../../src/http/decimal.ts'

t.test('what is no whole number from 0 is as String has it', async t => {
  for (const number of [-1, -1000, 0.5, 999.5, 1000.5, 1_000_000.25, NaN, Infinity, -Infinity]) t.equal(decimal(number), String(number))
})

t.test('whole numbers have the digits that they always have, on both sides of where their parts begin', async t => {
  for (const middle of [0, 10, 100, 1000, 10_000, 1_000_000, 1_001_000, 999_999_000, 1e9, 2 ** 32, Number.MAX_SAFE_INTEGER - 2]) {
    for (let number = Math.max(0, middle - 2); number <= middle + 2; number++) t.equal(decimal(number), String(number))
  }
})
