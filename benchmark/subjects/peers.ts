/**
 * Caches that are neither ours nor in Node: one worker each, on the core of the server under test, stored responses in
 * memory (nginx's in files, so on a file system in memory), no access log except Varnish's own in shared memory.
 */
import { statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, launch, listens } from '../lib/processes.ts'
import { findProgram } from './programs.ts'
import type { StartInput, Subject } from './subject.ts'

const connections = 20_000
/** Of nginx's keys, by its documentation some 8,000; and of its files at least a page each. */
const keysPerMiB = 4000
const pageBytes = 4096
const defaultMiB = 256

interface Peer {
  readonly name: string
  readonly title: string
  readonly program: string
  readonly versionFlag: string
  readonly canTls: boolean
  readonly file: string
  readonly configuration: (input: StartInput, port: number) => string
  readonly args: (input: StartInput, port: number, file: string) => readonly string[]
}

const hostOf = (origin: string): URL => new URL(origin)

const nginx: Peer = {
  name: 'nginx',
  title: 'nginx',
  program: 'nginx',
  versionFlag: '-v',
  canTls: true,
  file: 'nginx.conf',
  args: ({ folder }, _port, file) => ['-p', folder, '-c', file],
  configuration: ({ folder, origin, settings, certificate }, port) => `
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections ${connections}; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
  open_file_cache max=10000 inactive=60s;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(kind => `${kind}_temp_path ${folder}/temp-${kind};`).join(' ')}
  proxy_cache_path ${folder}/cache levels=1:2 keys_zone=stored:${Math.max(64, Math.ceil((settings.preload ?? 0) / keysPerMiB))}m max_size=${settings.cacheMiB ?? defaultMiB}m inactive=1h use_temp_path=off;
  upstream origin { server ${hostOf(origin).host}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096${certificate === null ? '' : ' ssl http2'};
    ${certificate === null ? '' : `ssl_certificate ${certificate.cert}; ssl_certificate_key ${certificate.key};`}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_cache stored;
    proxy_force_ranges on;
    location / {
      proxy_pass http://origin;
      proxy_cache_lock on;
    }
    # The lock would serialise what turns out not to be stored.
    location /passing/ { proxy_pass http://origin; }
  }
}
`
}

const varnish: Peer = {
  name: 'varnish',
  title: 'Varnish',
  program: 'varnishd',
  versionFlag: '-V',
  canTls: false,
  file: 'varnish.vcl',
  args: ({ folder, settings }, port, file) => ['-F', '-j', 'none', '-a', `127.0.0.1:${port}`, '-f', file, '-n', join(folder, 'work'), '-s', `malloc,${settings.cacheMiB ?? defaultMiB}m`, '-p', 'thread_pools=1', '-p', 'thread_pool_min=100'],
  configuration: ({ origin }) => `
vcl 4.1;
backend origin { .host = "${hostOf(origin).hostname}"; .port = "${hostOf(origin).port}"; }
`
}

const haproxy: Peer = {
  name: 'haproxy',
  title: 'HAProxy',
  program: 'haproxy',
  versionFlag: '-v',
  canTls: true,
  file: 'haproxy.cfg',
  args: (_input, _port, file) => ['-db', '-q', '-f', file],
  configuration: ({ origin, settings, certificate }, port) => `
global
  nbthread 1
  maxconn ${connections / 2 - 500}
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
cache stored
  total-max-size ${settings.cacheMiB ?? defaultMiB}
  max-object-size 8000000
  max-age 3600
  process-vary on
frontend in
  bind 127.0.0.1:${port} backlog 4096${certificate === null ? '' : ` ssl crt ${certificate.both} alpn h2,http/1.1`}
  default_backend origin
backend origin
  http-request cache-use stored
  http-response cache-store stored
  server origin ${hostOf(origin).host}
`
}

function createPeer (peer: Peer): Subject {
  const found = findProgram(peer.program, peer.versionFlag)
  return {
    name: peer.name,
    title: peer.title,
    isOurs: false,
    missing: found === null ? `${peer.title}: no ${peer.program} is installed` : null,
    version: found?.version ?? '',
    async start (input) {
      if (input.settings.tls === true && !peer.canTls) throw new Error(`${peer.title} speaks no TLS`)
      const needed = peer.name === 'nginx' ? 2 * pageBytes * (input.settings.preload ?? 0) : 0
      const { bavail, bsize } = statfsSync(input.folder)
      if (bavail * bsize < needed) throw new Error(`no room for ${needed} bytes of files`)
      const port = await freePort()
      const file = join(input.folder, peer.file)
      writeFileSync(file, peer.configuration(input, port))
      const spawned = launch('server', found?.path as string, peer.args(input, port, file))
      await listens(spawned, port)
      return { spawned, port }
    }
  }
}

export const createPeers = (): Subject[] => [nginx, varnish, haproxy].map(createPeer)
