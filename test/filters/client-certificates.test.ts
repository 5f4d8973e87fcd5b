import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import t, { type Test } from 'tap'
import type { TlsConfig } from '../../src/config/schema.ts'
import { createAuthority, type Certificate } from '../fixtures/auth.ts'
import { get, startProxy } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-mtls-'))
t.teardown(() => { rmSync(folder, { recursive: true, force: true }) })
const fileOf = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const authority = await createAuthority('authority')
const stranger = await createAuthority('stranger')
const own = await authority.issue('proxy')
const pair = { cert: fileOf('server.pem', own.cert), key: fileOf('server.key', own.key) }
const ca = fileOf('ca.pem', authority.cert)
const shop = await authority.issue('shop', [{ type: 2, value: 'Shop.test' }, { type: 6, value: 'spiffe://example.test/shop' }])
const bank = await authority.issue('bank', [{ type: 2, value: 'bank.test' }])
const foreign = await stranger.issue('shop', [{ type: 2, value: 'shop.test' }])
const fingerprint = `sha256:${new X509Certificate(bank.cert).fingerprint256.replaceAll(':', '').toLowerCase()}`

async function start (t: Test, clientCertificate: object, mode = 'request') {
  const origin = await startRawOrigin(t, () => response('content'))
  const proxy = await startProxy(t, origin.url, {
    server: { tls: { certificates: [pair, { ...pair, hosts: ['named.test'] }], clientCertificates: { ca, mode } } },
    route: { auth: { clientCertificate, identityField: 'x-user' } }
  })
  return { origin, proxy }
}

/** Sends a GET over a connection of its own; what the handshake said in place of an answer. */
function ask (port: number, certificate?: Certificate, servername = 'other.test'): Promise<string> {
  return new Promise(resolve => {
    let text = ''
    const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false, ...certificate })
    socket.on('data', chunk => { text += chunk })
    socket.on('error', error => { text ||= (error as NodeJS.ErrnoException).code ?? error.message })
    socket.on('close', () => { resolve(text) })
    socket.write(get('/'))
  })
}

t.test('a certificate of the authority lets in, whatever name the server is asked by; another one, or none, does not', async t => {
  const { proxy, origin } = await start(t, {})

  for (const name of ['other.test', 'named.test']) {
    t.match(await ask(proxy.port, shop, name), /^HTTP\/1\.1 200/)
    for (const certificate of [foreign, undefined]) {
      const answer = await ask(proxy.port, certificate, name)
      t.match(answer, /^HTTP\/1\.1 403[^]*"code":"certificate_required"/)
      t.notMatch(answer, /www-authenticate/i)
    }
  }
  t.match(origin.requests[0], /x-user: shop\r\n/)
  t.equal(origin.requests.length, 2)
})

t.test('where one is required there is no connection without it', async t => {
  const { proxy, origin } = await start(t, {}, 'require')

  t.match(await ask(proxy.port, shop), /^HTTP\/1\.1 200/)
  for (const name of ['other.test', 'named.test']) {
    for (const certificate of [foreign, undefined]) t.notMatch(await ask(proxy.port, certificate, name), /HTTP/)
  }
  t.equal(origin.requests.length, 1)
})

t.test('rules name who may, by common name, alternative name or fingerprint', async t => {
  const rows: ReadonlyArray<readonly [object, Certificate, number, string?]> = [
    [{ commonNames: ['shop'] }, shop, 200, 'shop'],
    [{ commonNames: ['shop'] }, bank, 403],
    [{ commonNames: ['sho', 'shop.test', 'SHOP'] }, shop, 403],
    [{ names: ['dns:shop.TEST'], subject: 'alternative-name' }, shop, 200, 'dns:shop.test'],
    [{ names: ['uri:spiffe://example.test/shop'] }, shop, 200, 'shop'],
    [{ names: ['uri:spiffe://example.test/Shop', 'dns:test', 'email:shop.test'] }, shop, 403],
    [{ fingerprints: [fingerprint], subject: 'fingerprint' }, bank, 200, fingerprint],
    [{ fingerprints: [fingerprint] }, shop, 403],
    [{ commonNames: ['x'], fingerprints: [fingerprint] }, bank, 200, 'bank']
  ]
  for (const [rules, certificate, expected, subject] of rows) {
    const { proxy, origin } = await start(t, rules)
    const answer = await ask(proxy.port, certificate)
    t.match(answer, `HTTP/1.1 ${expected}`, JSON.stringify(rules))
    if (subject !== undefined) t.match(origin.requests[0], `x-user: ${subject}\r\n`)
    else t.match(answer, '"code":"forbidden"')
  }
})

t.test('HTTP/2 is asked like HTTP/1', async t => {
  const { proxy } = await start(t, { commonNames: ['shop'] })
  for (const [certificate, expected] of [[shop, 200], [bank, 403], [undefined, 403]] as const) {
    const session = http2.connect(`https://127.0.0.1:${proxy.port}`, { rejectUnauthorized: false, ...certificate })
    const statuses = await Promise.all([1, 2].map(() => new Promise<unknown>((resolve, reject) => {
      session.request({ ':path': '/', ':authority': 'other.test' }).on('response', fields => { resolve(fields[':status']) }).on('error', reject).resume()
    })))
    session.destroy()
    t.same(statuses, [expected, expected])
  }
})

t.test('another authority is in force for new connections after a reload, and no session is resumed that the old one vouched for', async t => {
  const origin = await startRawOrigin(t, () => response('content'))
  const config: TlsConfig = { certificates: [{ ...pair, hosts: [] }], minVersion: 'TLSv1.2', http2: false, clientCertificates: { ca, mode: 'request' } }
  const proxy = await startProxy(t, origin.url, { server: { tls: config }, route: { auth: { clientCertificate: {} } } })
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    let session: Buffer | undefined
    for (const turn of [1, 2]) {
      await new Promise<void>(resolve => {
        const socket = connect({ port: proxy.port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion, ...shop, ...session !== undefined && { session } })
        socket.on('session', offered => { session = offered })
        socket.on('data', () => {}).on('close', () => { resolve() })
        socket.on('secureConnect', () => { t.notOk(socket.isSessionReused(), `${maxVersion} ${turn}`) })
        socket.write(get('/'))
      })
    }
  }

  proxy.tls?.prepare({ ...config, clientCertificates: { ca: fileOf('other.pem', stranger.cert), mode: 'request' } })()
  t.match(await ask(proxy.port, foreign), /^HTTP\/1\.1 200/)
  t.match(await ask(proxy.port, shop), /^HTTP\/1\.1 403/)
})
