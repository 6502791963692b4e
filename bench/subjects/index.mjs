// @ts-check
/** All subjects: the hub, the controls, and the peers that can be had. */
import { subject as betterSse } from './better-sse.mjs'
import { subject as cLoop } from './c-loop.mjs'
import { subject as centrifugo } from './centrifugo.mjs'
import { subject as channels } from './channels.mjs'
import { subject as hub } from './hub.mjs'
import { subject as hubUws } from './hub-uws.mjs'
import { subject as mercure } from './mercure.mjs'
import { subject as nchan } from './nchan.mjs'
import { subject as nodeHttp } from './node-http.mjs'
import { subject as nodeSse } from './node-sse.mjs'
import { subject as socketIo } from './socket-io.mjs'
import { subject as socketWrite } from './socket-write.mjs'
import { subject as uws } from './uws.mjs'
import { subject as uwsHttp } from './uws-http.mjs'
import { subject as uwsSse } from './uws-sse.mjs'
import { subject as wsSend } from './ws-send.mjs'

/** @type {readonly import('../types.d.ts').Subject[]} */
export const subjects = [
  hub,
  hubUws,
  cLoop,
  socketWrite,
  wsSend,
  nodeSse,
  nodeHttp,
  uws,
  uwsSse,
  uwsHttp,
  socketIo,
  betterSse,
  nchan,
  centrifugo,
  mercure,
  channels,
]
