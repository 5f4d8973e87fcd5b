/** Compression of content while it streams. */
import { pipeline, type Readable, type Transform } from 'node:stream'
import { constants, createBrotliCompress, createGzip, createZstdCompress } from 'node:zlib'
import type { Coding } from './codings.ts'

export type Levels = Readonly<Record<Coding, number>>

/** After so long without a piece what has come is sent, for clients that show content as it arrives: milliseconds. */
const pauseMs = 20

/** Windows are no larger than this, 2 to the power of it: beyond, each response under way costs more memory than it gains. */
const mostWindowBits = { gzip: 15, br: 18, zstd: 19 } as const
const leastWindowBits = 10

interface Compressor extends Transform {
  flush (kind: number, done?: () => void): void
}

const flushKinds: Readonly<Record<Coding, number>> = {
  gzip: constants.Z_SYNC_FLUSH,
  br: constants.BROTLI_OPERATION_FLUSH,
  zstd: constants.ZSTD_e_flush
}

/** @param length of the content in bytes; undefined where that is not known */
export function compress (source: Readable, coding: Coding, levels: Levels, length: number | undefined): Readable {
  const compressor = createCompressor(coding, levels[coding], length)
  let pause: NodeJS.Timeout | null = null
  source.on('data', () => {
    if (pause === null) pause = setTimeout(flush, pauseMs).unref()
    else pause.refresh()
  })
  // An error on either side reaches the other: a body cut short must not end as if it were whole.
  pipeline(source, compressor, () => { if (pause !== null) clearTimeout(pause) })
  source.once('end', () => { if (pause !== null) clearTimeout(pause) })
  return compressor

  function flush (): void {
    if (!compressor.destroyed && !compressor.writableEnded) compressor.flush(flushKinds[coding])
  }
}

function createCompressor (coding: Coding, level: number, length: number | undefined): Compressor {
  const windowBits = windowFor(coding, length)
  switch (coding) {
    // A window of 2^15 takes 128 KiB, and the hash table beside it as much at memLevel 8.
    case 'gzip': return createGzip({ level, windowBits, memLevel: windowBits < 13 ? 6 : 8 })
    case 'br': return createBrotliCompress({
      params: {
        [constants.BROTLI_PARAM_QUALITY]: level,
        [constants.BROTLI_PARAM_LGWIN]: windowBits,
        ...(length === undefined ? {} : { [constants.BROTLI_PARAM_SIZE_HINT]: Math.min(length, 0xffffffff) })
      }
    })
    case 'zstd': return createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: windowBits } })
  }
}

/** No larger than the content. */
function windowFor (coding: Coding, length: number | undefined): number {
  const most = mostWindowBits[coding]
  return length === undefined ? most : Math.min(most, Math.max(leastWindowBits, Math.ceil(Math.log2(length + 1))))
}
