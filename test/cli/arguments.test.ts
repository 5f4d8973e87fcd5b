import t from 'tap'
import { parseArguments, usage } from '../../src/cli/arguments.ts'

t.test('arguments that are understood', async (t) => {
  const rows: Array<[argv: string, expected: object]> = [
    ['', { command: 'start', overrides: {} }],
    ['start', { command: 'start', overrides: {} }],
    ['--upstream http://a', { command: 'start', upstream: 'http://a', overrides: {} }],
    ['--upstream=http://a', { command: 'start', upstream: 'http://a', overrides: {} }],
    ['check --config a.yaml', { command: 'check', file: 'a.yaml', overrides: {} }],
    ['--config a.yaml check', { command: 'check', file: 'a.yaml', overrides: {} }],
    ['routes --config a.yaml', { command: 'routes', file: 'a.yaml', overrides: {} }],
    ['--host ::1 --port 0 --admin-host h --admin-port 65535 --log-level debug --workers 4', {
      command: 'start', overrides: { host: '::1', port: 0, adminHost: 'h', adminPort: 65_535, logLevel: 'debug', workers: 4 }
    }],
    ['hash-password', { command: 'hash-password', overrides: {} }],
    ['--help', { command: 'help', overrides: {} }],
    ['-h', { command: 'help', overrides: {} }],
    ['help', { command: 'help', overrides: {} }],
    ['check --help', { command: 'help', overrides: {} }],
    ['--version', { command: 'version', overrides: {} }],
    ['version', { command: 'version', overrides: {} }]
  ]
  for (const [argv, expected] of rows) {
    t.same(parseArguments(argv.split(' ').filter(word => word !== '')), { ok: true, arguments: expected }, argv)
  }
})

t.test('arguments that are refused, with exit code 2', async (t) => {
  const rows: Array<[argv: string, message: RegExp]> = [
    ['--prot 80', /^unknown flag --prot; did you mean "--port"\?/],
    ['--confg=a', /^unknown flag --confg; did you mean "--config"\?/],
    ['--zzzzzz', /^unknown flag --zzzzzz\n/],
    ['-x', /^unknown flag -x\n/],
    ['--constructor', /^unknown flag --constructor\n/],
    ['chekc', /^unknown command chekc; did you mean "check"\?/],
    ['check a.yaml', /^unexpected a.yaml after check; a file is given as --config a.yaml\n/],
    ['a.json', /^unknown command a.json; a file is given as --config a.json\n/],
    ['check twice', /^unexpected twice after check\n/],
    ['--port', /^--port needs a value/],
    ['--port= ', /^--port needs a value/],
    ['--config --port 80', /^--config needs a value/],
    ['--help=yes', /^--help takes no value/],
    ['--port 80 --port 81', /^--port is given twice/],
    ['--port http', /^--port must be a whole number from 0 to 65535, not http/],
    ['--port 65536', /^--port must be/],
    ['--port=-1', /^--port must be/],
    ['--admin-port 1.5', /^--admin-port must be/],
    ['--workers 0', /^--workers must be a whole number from 1 to 256/],
    ['--workers 0x10', /^--workers must be/],
    ['--log-level inof', /^--log-level must be one of .*; did you mean "info"\?/]
  ]
  for (const [argv, message] of rows) {
    const result = parseArguments(argv.split(' ').filter(word => word !== ''))
    t.match(result, { ok: false, message, exitCode: 2 }, argv)
  }
})

t.test('the usage names every flag', async (t) => {
  for (const flag of ['upstream', 'config', 'host', 'port', 'admin-host', 'admin-port', 'log-level', 'workers', 'help', 'version']) t.match(usage, `--${flag}`)
})
