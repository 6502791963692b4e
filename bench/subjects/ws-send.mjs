// @ts-check
import { startNodeSubject } from '../lib/node-subject.mjs'

/** Control: see `servers/ws-send.mjs`. @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'ws-send',
  title: 'ws.send loop',
  kind: 'control',
  transports: ['websocket'],
  hasGroups: true,
  missing: () => null,
  start: (settings) => startNodeSubject('ws-send.mjs', settings),
}
