/** TLS connections before they are secure: they have until the time limit on heads, however they drip in. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

export function isTls (server: Server): boolean {
  return 'setSecureContext' in server
}

/** Node's own timeout of handshakes is one of silence, and starts again with each octet. */
export function limitHandshakes (server: Server, limitMs: number): { destroyAll (): void } {
  /** By addresses: the secure socket that comes of a connection does not say which it was. */
  const pending = new Map<string, { readonly socket: Socket, readonly timer: NodeJS.Timeout }>()

  function forget (name: string): void {
    clearTimeout(pending.get(name)?.timer)
    pending.delete(name)
  }

  if (isTls(server)) {
    server.on('connection', (socket: Socket) => {
      const name = nameOf(socket)
      const timer = setTimeout(() => { socket.destroy() }, limitMs)
      pending.set(name, { socket, timer })
      socket.once('close', () => { if (pending.get(name)?.socket === socket) forget(name) })
    })
    server.on('secureConnection', (socket: Socket) => { forget(nameOf(socket)) })
  }
  return {
    destroyAll () { for (const { socket } of pending.values()) socket.destroy() }
  }
}

function nameOf (socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress}`
}
