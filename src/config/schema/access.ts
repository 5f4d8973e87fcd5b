/** Who may come in, by address, method and host, and which pages of other origins may read the answers. */
import Type from './type.ts'
import { choice, fieldName, flag, item, optionalDuration, texts } from './kinds.ts'

const method = Type.String({ pattern: '^[A-Z][A-Z-]*$', expected: 'a request method in capitals, such as GET' })

export const AccessSchema = (description: string) => item(description, {
  allow: texts('Client addresses and networks (CIDR), `loopback`, `linklocal` and `uniquelocal`; all others get 403. Empty: all may. Behind `server.trustedProxies` the address is the one they name.'),
  deny: texts('Addresses and networks that get 403, also where `allow` has them.'),
  methods: Type.Optional(Type.Array(method, { minItems: 1, description: 'Request methods; others get 405 with `Allow`. `GET` does not imply `HEAD`. Absent: all.' })),
  hosts: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1, description: 'Hosts without port, `*.example.com` for one or more labels; requests for others get 421. Absent: any.' }))
})

export const CorsSchema = item('Which pages of other origins may read responses (CORS). `Access-Control-*` fields of the origin server are replaced.', {
  origins: Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 100, description: 'Origins such as `https://app.example.com`, `https://*.example.com` for one or more labels, or `*` alone for all of them.' }),
  methods: Type.Array(method, { default: ['GET', 'HEAD', 'POST'], description: 'Methods that such a page may use.' }),
  allowedFields: Type.Optional(Type.Array(fieldName, { description: 'Request fields that it may send. Absent: whichever it asks for.' })),
  exposedFields: Type.Array(fieldName, { default: [], description: 'Response fields that it may read beside the safelisted ones.' }),
  credentials: flag('It may send cookies and other credentials. Not with the origin `*`.', false),
  maxAge: optionalDuration('How long a browser may remember the answer to a preflight; whole seconds. Absent: as long as it likes, mostly 5 s.'),
  preflight: choice('Preflight requests: `answer` them here, before authentication and limits; or `forward` all OPTIONS to the origin server, whose answers are then passed on as they are.', ['answer', 'forward'], 'answer')
})
