/** Certificates of clients (mTLS), which the TLS layer has verified; here is decided whether they are the right ones. */
import type { X509Certificate } from 'node:crypto'
import type { ClientCertificateConfig } from '../config/schema.ts'
import type { Refusal, Verdict, Verifier } from './verdict.ts'

/** What of a TLS socket is used. */
interface CertifiedSocket {
  readonly authorized?: boolean
  getPeerX509Certificate? (): X509Certificate | undefined
  getPeerCertificate? (): { readonly subject?: { readonly CN?: unknown } }
}

const none: Refusal = { ok: false, reason: 'no-certificate' }
const notAllowed: Refusal = { ok: false, reason: 'forbidden' }

export function createClientCertificate (config: ClientCertificateConfig): Verifier {
  const { commonNames, fingerprints } = config
  const names = config.names.map(name => name.startsWith('dns:') ? name.toLowerCase() : name)
  const open = commonNames.length + names.length + fingerprints.length === 0
  /** One handshake has one certificate, whatever the requests on its connection. */
  const verdicts = new WeakMap<object, Verdict>()

  return {
    challenges: [],
    judgesAuthorization: false,
    verify ({ socket }, done) {
      const known = verdicts.get(socket)
      if (known !== undefined) return done(known)
      const verdict = judge(socket as CertifiedSocket)
      verdicts.set(socket, verdict)
      done(verdict)
    }
  }

  function judge (socket: CertifiedSocket): Verdict {
    const certificate = socket.authorized === true ? socket.getPeerX509Certificate?.() : undefined
    if (certificate === undefined) return none
    const commonName = socket.getPeerCertificate?.().subject?.CN
    const fingerprint = `sha256:${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`
    const alternatives = alternativeNames(certificate.subjectAltName)
    const fits = open ||
      // Several common names are a list, of which nobody says which one counts.
      (typeof commonName === 'string' && commonNames.includes(commonName)) ||
      names.some(name => alternatives.includes(name)) ||
      fingerprints.includes(fingerprint)
    if (!fits) return notAllowed
    const subject = config.subject === 'fingerprint' ? fingerprint : config.subject === 'alternative-name' ? alternatives[0] : commonName
    if (typeof subject !== 'string' || subject === '') return notAllowed
    return { ok: true, identity: { subject, kind: 'client-certificate', claims: {} } }
  }
}

const prefixes: Readonly<Record<string, string>> = { DNS: 'dns', URI: 'uri', email: 'email' }

/**
 * Alternative names as the configuration writes them. Node joins them by `, ` and quotes as JSON those in which something could be
 * taken for the end of a name (CVE-2021-44532); of a text that is not made so, nothing is believed.
 */
export function alternativeNames (text: string | undefined): readonly string[] {
  const found: string[] = []
  let rest = text ?? ''
  while (rest !== '') {
    const [member = '', type = '', value = ''] = /^([A-Za-z0-9 ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/.exec(rest) ?? []
    if (member === '') return []
    rest = rest.slice(member.length)
    const prefix = prefixes[type]
    if (prefix === undefined) continue
    try {
      const name = value.startsWith('"') ? JSON.parse(value) as string : value
      found.push(`${prefix}:${prefix === 'dns' ? name.toLowerCase() : name}`)
    } catch {
      return []
    }
  }
  return found
}
