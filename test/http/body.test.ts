/** Content for one reader, at its pace. */
import { Readable } from 'node:stream'
import t from 'tap'
import { Body, bodyOf } from '../../src/http/body.ts'

function opened () {
  const said: string[] = []
  const body = new Body({ resume () { said.push('resume') }, cancel (error) { said.push(`cancel ${error?.message ?? ''}`) } })
  body.onClose((error, complete) => { said.push(`closed ${complete ? 'complete' : error?.message ?? 'unwanted'}`) })
  return { body, said }
}

t.test('what came before anybody read comes first, and the end after it', async t => {
  const { body, said } = opened()
  t.equal(body.push(Buffer.from('a')), true)
  body.finish()
  body.read({ data (chunk) { said.push(String(chunk)); return true }, end () { said.push('end') }, fail () {} })
  t.same(said, ['a', 'closed complete', 'end'])
})

t.test('a reader that takes no more gets none until it asks, and the source waits', async t => {
  const { body, said } = opened()
  let takes = false
  body.read({ data (chunk) { said.push(String(chunk)); return takes }, end () { said.push('end') }, fail () {} })
  t.equal(body.push(Buffer.from('a')), false)
  body.push(Buffer.from('b'))
  t.equal(body.push(Buffer.alloc(70_000)), false, 'with much waiting the source is to stop')
  t.same(said, ['resume', 'a'])
  takes = true
  body.resume()
  t.same(said.slice(0, 3), ['resume', 'a', 'b'])
  t.equal(said.at(-1), 'resume')
})

t.test('a failure is told once, also to who reads later, and what waits is dropped', async t => {
  const { body, said } = opened()
  body.push(Buffer.from('a'))
  body.fail(new Error('cut'))
  body.finish()
  body.read({ data () { said.push('data'); return true }, end () { said.push('end') }, fail (error) { said.push(`fail ${error.message}`) } })
  t.same(said, ['closed cut', 'fail cut'])
})

t.test('a reader that leaves ends the source and hears nothing any more', async t => {
  const { body, said } = opened()
  body.read({ data () { said.push('data'); return true }, end () { said.push('end') }, fail () { said.push('fail') } })
  body.destroy()
  body.push(Buffer.from('late'))
  body.finish()
  t.same(said, ['resume', 'cancel ', 'closed unwanted'])
})

t.test('who asks late how it ended learns the truth: all of it was there and not read is not complete', t => {
  const { body } = opened()
  body.push(Buffer.from('a'))
  body.finish()
  body.destroy()
  const late: unknown[] = []
  body.onClose((error, complete) => { late.push(error, complete) })
  t.same(late, [null, false])
  t.end()
})

t.test('from a stream and back to one nothing is lost', async t => {
  const pieces = Array.from({ length: 50 }, (_, i) => Buffer.alloc(10_000, i))
  const collected: Buffer[] = []
  for await (const chunk of bodyOf(Readable.from(pieces, { objectMode: false })).stream()) collected.push(chunk as Buffer)
  t.ok(Buffer.concat(collected).equals(Buffer.concat(pieces)))
})

t.test('an empty piece goes no further', async t => {
  const { body, said } = opened()
  body.read({ data (chunk) { said.push(`data ${chunk.length}`); return true }, end () { said.push('end') }, fail () {} })
  t.equal(body.push(Buffer.alloc(0)), true)
  body.push(Buffer.from('a'))
  body.finish()
  t.same(said, ['resume', 'data 1', 'closed complete', 'end'])
})

t.test('an empty piece does not make a source go on that is to wait', async t => {
  const { body } = opened()
  body.read({ data: () => false, end () {}, fail () {} })
  t.equal(body.push(Buffer.from('a')), false)
  t.equal(body.push(Buffer.alloc(0)), false)
})
