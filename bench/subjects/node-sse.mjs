// @ts-check
import { startNodeSubject } from '../lib/node-subject.mjs'

/** Control: see `servers/node-sse.mjs`. @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'node-sse',
  title: 'node:http response.write loop',
  kind: 'control',
  transports: ['sse'],
  hasGroups: true,
  missing: () => null,
  start: (settings) => startNodeSubject('node-sse.mjs', settings),
}
