/** `jose`, for routes that ask for signed tokens. */
import { loadOnce } from '../load-once.ts'

export const jose = loadOnce<typeof import('jose')>('jose')
