// @ts-check
import { startNodeSubject } from '../lib/node-subject.mjs'

/** Control: see `servers/socket-write.mjs`. @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'socket-write',
  title: 'socket.write loop',
  kind: 'control',
  transports: ['websocket', 'sse', 'mixed'],
  hasGroups: true,
  missing: () => null,
  start: (settings) => startNodeSubject('socket-write.mjs', settings),
}
