// @ts-check
import { startNodeSubject } from '../lib/node-subject.mjs'
import { missingPeer } from '../lib/peers.mjs'

/** See `servers/socket-io.mjs`. @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'socket.io',
  title: 'Socket.IO, io.to(group).emit',
  kind: 'peer',
  transports: ['websocket'],
  hasGroups: true,
  missing: () => missingPeer('socket.io'),
  start: (settings) =>
    startNodeSubject('socket-io.mjs', settings, {
      path: '/socket.io/?EIO=4&transport=websocket',
      hello: '40',
    }),
}
