// @ts-check
import { startNodeSubject } from '../lib/node-subject.mjs'
import { missingUws } from '../lib/uws.mjs'

/** Control: see `servers/uws-sse.mjs`. @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'uws-sse',
  title: 'uWebSockets.js SSE, res.write loop',
  kind: 'control',
  transports: ['sse'],
  hasGroups: true,
  missing: missingUws,
  start: (settings) => startNodeSubject('uws-sse.mjs', settings),
}
