// @ts-check
import { startNodeSubject } from '../lib/node-subject.mjs'
import { missingUws } from '../lib/uws.mjs'

/** Control: see `servers/uws-http.mjs`. @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'uws-http',
  title: 'bare uWebSockets.js handler',
  kind: 'control',
  transports: [],
  hasGroups: false,
  missing: missingUws,
  start: (settings) => startNodeSubject('uws-http.mjs', settings),
}
