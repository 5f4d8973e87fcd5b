/** The conformance tests run under the settings of config/rfc9111.yaml. */
import t from 'tap'
import { loadConfig, resolveConfig } from '../../src/config/load.ts'
import { rfc9111 } from '../fixtures/conformance.ts'

t.test('the profile of the tests is the one in config/', async t => {
  const written = await loadConfig({ file: new URL('../../config/rfc9111.yaml', import.meta.url).pathname, env: {}, upstream: 'http://127.0.0.1:3000' })
  const tested = resolveConfig({ server: rfc9111.server, cache: rfc9111.cache, upstreams: { default: { targets: ['http://127.0.0.1:3000'] } }, routes: [{ name: 'default', upstream: 'default', ...rfc9111.route }] })

  t.same(written.routes, tested.routes)
  t.same(written.cache, tested.cache)
  t.equal(written.server.mergeSlashes, tested.server.mergeSlashes)
})
