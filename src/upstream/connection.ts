/** One connection to a target: an undici client without pipelining, whose socket we can see. */
import { readFileSync } from 'node:fs'
import { isIP, type Socket } from 'node:net'
import { buildConnector, Client } from 'undici'
import type { UpstreamConfig } from '../config/schema.ts'
import { skipUnaskedContinue, type HeadWatch } from './interim-filter.ts'
import { keepEndBack, type EndWatch } from './late-end.ts'

export interface Connection extends HeadWatch, EndWatch {
  readonly client: Client
  /** Requests written to the present socket. */
  uses: number
  hasSocket (): boolean
}

export interface ConnectionFactory {
  readonly serverName: string
  create (): Connection
}

/** @param origin `https://host:port` of the target */
export function createConnectionFactory (origin: string, config: UpstreamConfig): ConnectionFactory {
  const { tls, timeouts } = config
  const { hostname } = new URL(origin)
  const address = hostname.replace(/^\[|\]$/g, '')
  // undici would take it from `Host`, which a client may have written.
  const serverName = tls.serverName ?? address
  const connect = buildConnector({
    timeout: timeouts.connect,
    rejectUnauthorized: tls.verify,
    keepAlive: true,
    ...(tls.ca === undefined ? {} : { ca: readFileSync(tls.ca) }),
    ...(tls.cert === undefined ? {} : { cert: readFileSync(tls.cert) }),
    ...(tls.key === undefined ? {} : { key: readFileSync(tls.key) })
  })

  return {
    serverName,
    create () {
      let socket: Socket | null = null
      const connection: Connection = {
        awaitingHead: false,
        parserWaits: false,
        parserWentOn: () => {},
        uses: 0,
        hasSocket: () => socket !== null && !socket.destroyed,
        client: new Client(origin, {
          pipelining: 1,
          // Deadlines are kept per exchange, where the queue and back-pressure are known.
          headersTimeout: 0,
          bodyTimeout: 0,
          keepAliveTimeout: Math.max(1, config.keepAliveTimeout),
          keepAliveMaxTimeout: Math.max(1, config.keepAliveTimeout),
          maxHeaderSize: config.maxResponseHeaderBytes,
          connect (options, callback) {
            // A server name is a name; for an address the certificate is checked against the address itself.
            const named = isIP(serverName) === 0 ? { ...options, servername: serverName } : { ...options, servername: '' }
            connect(named, (error, made) => {
              if (error !== null) return callback(error, null)
              socket = made as Socket
              connection.uses = 0
              skipUnaskedContinue(socket, connection)
              keepEndBack(socket, connection)
              callback(null, made as never)
            })
          }
        })
      }
      // undici reports connection failures both to the request and here.
      ;(connection.client as NodeJS.EventEmitter).on('error', () => {})
      return connection
    }
  }
}
