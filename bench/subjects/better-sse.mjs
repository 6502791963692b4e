// @ts-check
import { startNodeSubject } from '../lib/node-subject.mjs'
import { missingPeer } from '../lib/peers.mjs'

/** See `servers/better-sse.mjs`. @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'better-sse',
  title: 'better-sse, channel.broadcast',
  kind: 'peer',
  transports: ['sse'],
  hasGroups: true,
  missing: () => missingPeer('better-sse'),
  start: (settings) => startNodeSubject('better-sse.mjs', settings),
}
