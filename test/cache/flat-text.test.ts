/** Stored texts, compared with what joining their parts gives. */
import t from 'tap'
import { flatText, linesLength } from '../../src/cache/flat-text.ts'

const joined = (lines: readonly string[], content: Buffer | string | null): string => {
  let text = ''
  for (let i = 0; i < lines.length; i += 2) text += `${lines[i]}: ${lines[i + 1]}\r\n`
  return content === null ? text : `${text}\r\n${typeof content === 'string' ? content : content.toString('latin1')}`
}

t.test('lines and content stand one behind the other, each octet as one character', async t => {
  const octets = Buffer.from(Array.from({ length: 256 }, (_, octet) => octet))
  const someLines = ['content-type', 'text/plain', 'x-empty', '', 'x-latin', 'caf\xe9 \xff']
  for (const lines of [[], someLines, ['set-cookie', 'a=1', 'set-cookie', 'b=2']]) {
    for (const content of [null, '', Buffer.alloc(0), octets, octets.toString('latin1'), Buffer.alloc(16 * 1024, 'x')]) {
      t.equal(flatText({ lines, content }), joined(lines, content))
    }
    t.equal(linesLength(lines), joined(lines, null).length)
  }
})

t.test('a head that is larger than the common memory is whole', async t => {
  const lines = Array.from({ length: 200 }, (_, i) => i % 2 === 0 ? `x-${i}` : String(i).repeat(300))
  const content = Buffer.alloc(16 * 1024, 'content')
  t.ok(linesLength(lines) > 64 * 1024)
  t.equal(flatText({ lines, content }), joined(lines, content))
})

t.test('a text stays what it was when others are made', async t => {
  const first = flatText({ lines: ['a', 'first'], content: Buffer.from('one') })
  flatText({ lines: ['b', 'other'], content: Buffer.from('two') })
  t.equal(first, 'a: first\r\n\r\none')
})
