/**
 * `node:http`, without what an import of it costs: the import evaluates every export, and some of them (`WebSocket`) make Node
 * load its whole `fetch`, for 20 to 50 ms.
 */
const http = process.getBuiltinModule('node:http')

export const { METHODS, STATUS_CODES } = http
export default http
