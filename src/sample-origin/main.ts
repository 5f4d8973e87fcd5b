/** Runs the sample origin alone: `npm run sample-origin`. `PORT` (3000) and `HOST` (127.0.0.1) say where; so does `SAMPLE_ORIGIN_PORT`, as in config/example.yaml. */
import { startSampleOrigin } from './app.ts'

const origin = await startSampleOrigin({ host: process.env['HOST'] ?? '127.0.0.1', port: Number(process.env['PORT'] ?? process.env['SAMPLE_ORIGIN_PORT'] ?? 3000) })
process.stdout.write(`sample origin on ${origin.url}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => { origin.close().then(() => process.exit(0), () => process.exit(1)) })
}
