// @ts-check
import { startNodeSubject } from '../lib/node-subject.mjs'

/** Control: see `servers/node-http.mjs`. @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'node-http',
  title: 'bare node:http handler',
  kind: 'control',
  transports: [],
  hasGroups: false,
  missing: () => null,
  start: (settings) => startNodeSubject('node-http.mjs', settings),
}
