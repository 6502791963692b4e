// @ts-check
/** The hub on the uWebSockets.js back end. */
import { hubSubject } from '../lib/hub-subject.mjs'
import { missingUws } from '../lib/uws.mjs'

/** @type {import('../types.d.ts').Subject} */
export const subject = hubSubject('uws', {
  name: 'hub-uws',
  title: 'groupcast, uWebSockets.js back end',
  missing: missingUws,
})
