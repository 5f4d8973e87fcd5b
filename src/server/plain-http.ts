/**
 * Plain HTTP that comes to a TLS port. OpenSSL knows it for what it is, too, but when Node tells, the connection is closed
 * already: so the first octets are looked at before TLS has them. That is once for each connection, and some hundredths
 * of what its handshake takes.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { isTls } from './handshakes.ts'

/** Before anything else listens for connections: what is there already is Node's own. */
export function lookForPlainHttp (server: Server, refuse: (socket: Socket) => void): void {
  if (!isTls(server)) return
  const toTls = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    // Until TLS has it, whose sockets hear of errors themselves.
    socket.on('error', () => {})
    socket.once('readable', () => {
      const first = socket.read() as Buffer | null
      if (first === null) {
        socket.destroy()
        return
      }
      if (beginsMethod(first[0] as number)) return refuse(socket)
      socket.unshift(first)
      for (const listener of toTls) listener.call(server, socket)
    })
  })
}

/** Methods are in capital letters; a handshake begins with 22, or the 128 of SSL 2. */
function beginsMethod (octet: number): boolean {
  return octet >= 0x41 && octet <= 0x5a
}
