import { verify } from '@node-rs/argon2'
import t from 'tap'
import { runHashPassword } from '../../src/cli/hash-password.ts'
import { resolveConfig } from '../../src/config/load.ts'

async function run (...chunks: string[]) {
  let output = ''
  const exitCode = await runHashPassword((async function * () { yield * chunks })(), { write: text => { output += text } })
  return { exitCode, output: output.trimEnd() }
}

t.test('the first line of the input becomes a hash that the configuration takes', async t => {
  for (const [chunks, password] of [[['pä', 'ss word\r\nmore'], 'päss word'], [['short'], 'short']] as const) {
    const { exitCode, output } = await run(...chunks)

    t.equal(exitCode, 0)
    t.match(output, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    t.ok(await verify(output, password))
    t.doesNotThrow(() => resolveConfig({ upstreams: { main: { targets: ['http://a'] } }, routes: [{ name: 'a', upstream: 'main', auth: { basic: { users: { ann: output } } } }] }))
  }
  t.not((await run('same')).output, (await run('same')).output, 'a salt of its own')
})

t.test('no password, or one that would never be looked at, is refused', async t => {
  for (const text of ['', '\nx', 'x'.repeat(1025)]) t.equal((await run(text)).exitCode, 1)
})
