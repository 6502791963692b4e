/** All tables by their subjects. */
import type { Row } from '../row.ts'
import { API_KEYS } from './api-keys.ts'
import { CONTROL } from './control.ts'
import { FRAMES } from './frames.ts'
import { HANDSHAKE } from './handshake.ts'
import { HTTP } from './http.ts'
import { STREAMS } from './streams.ts'
import { TOKEN_PLACES } from './token-places.ts'
import { TOKENS } from './tokens.ts'

export const TABLES: readonly (readonly [subject: string, rows: readonly Row[]])[] = [
  ['the opening handshake', HANDSHAKE],
  ['frames', FRAMES],
  ['pings, pongs and closes', CONTROL],
  ['requests', HTTP],
  ['streams and posts', STREAMS],
  ['where a token is', TOKEN_PLACES],
  ['what tokens are good', TOKENS],
  ['keys of the API', API_KEYS],
]
