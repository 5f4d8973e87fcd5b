import t from 'tap'
import { copyFields, fieldsFromLines, noFields, removeField } from '../../src/http/fields.ts'
import { knownNameOf, knownNames } from '../../src/http/known-names.ts'

t.test('a known field name is recognised in any case', async (t) => {
  for (const name of knownNames) {
    t.equal(knownNameOf(Buffer.from(name)), name)
    t.equal(knownNameOf(Buffer.from(name.toUpperCase())), name)
  }
})

t.test('what only looks like a known field name is not taken for one', async (t) => {
  for (const name of ['', 'dat', 'dates', 'dafe', 'content_type', 'content\rtype', 'via ', 'x'.repeat(100)]) t.equal(knownNameOf(Buffer.from(name)), null, name)
  // An octet that differs from the letter in more than its case.
  t.equal(knownNameOf(Buffer.from([0x01, 0x67, 0x65])), null)
  t.equal(knownNameOf(Buffer.from([0x61, 0x47, 0x05])), null)
})

t.test('fields with the names of what objects inherit are fields and nothing else', async (t) => {
  const inherited = '__proto__'
  const fields = fieldsFromLines([inherited, 'a', 'constructor', 'b', 'toString', 'c'])

  t.same(Object.keys(fields), [inherited, 'constructor', 'tostring'])
  for (const { [inherited]: value } of [fields, copyFields(fields)]) t.equal(value, 'a')
  for (const name of [inherited, 'constructor', 'toString', 'hasOwnProperty']) t.equal(noFields()[name], undefined)
})

t.test('a removed field is not among the names any more', async (t) => {
  const fields = fieldsFromLines(['via', 'a', 'date', 'b'])

  removeField(fields, 'via')
  removeField(fields, 'age')

  t.same(Object.keys(fields), ['date'])
})
