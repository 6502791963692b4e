// @ts-check
/** The hub on the node back end. */
import { hubSubject } from '../lib/hub-subject.mjs'

/** @type {import('../types.d.ts').Subject} */
export const subject = hubSubject('node', {
  name: 'hub',
  title: 'groupcast, node back end',
  missing: () => null,
})
