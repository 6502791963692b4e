// @ts-check
import { startNodeSubject } from '../lib/node-subject.mjs'
import { missingUws } from '../lib/uws.mjs'

/** See `servers/uws.mjs`. @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'uws',
  title: 'uWebSockets.js app.publish',
  kind: 'control',
  transports: ['websocket'],
  hasGroups: true,
  missing: missingUws,
  start: (settings) => startNodeSubject('uws.mjs', settings),
}
