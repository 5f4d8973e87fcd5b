import { executionAsyncResource } from 'node:async_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInThisContext } from 'node:vm'
import t from 'tap'
import { keepTickShape, keptTick } from '../../src/tick-shape.ts'

/** V8's own functions can be called in what is compiled from now on. */
setFlagsFromString('--allow-natives-syntax')
const haveSameShape = runInThisContext('(a, b) => %HaveSameMap(a, b)') as (a: object, b: object) => boolean

/** The object of a call of `process.nextTick`. */
const tick = async (...args: unknown[]): Promise<object> => await new Promise(resolve => { process.nextTick(() => { resolve(executionAsyncResource()) }, ...args) })

t.test('an object of process.nextTick is kept, of the shape that all of them have', async (t) => {
  keepTickShape()
  await nextTurn()
  const kept = keptTick() as object

  t.type(kept, 'object')
  t.ok(haveSameShape(kept, await tick()))
  t.ok(haveSameShape(kept, await tick('with an argument')))
  t.notOk(haveSameShape(kept, { callback: null, args: null }), 'the shapes of other objects are told apart')

  keepTickShape()
  await nextTurn()
  t.equal(keptTick(), kept, 'and it stays')
})
