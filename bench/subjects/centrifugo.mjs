// @ts-check
/** Peer: Centrifugo 6, its unidirectional WebSocket and SSE, with the memory engine. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, missingProgram, programPath, startProgram } from '../lib/process-subject.mjs'

const API_KEY = 'bench'
/** What clients say first: on WebSocket as a message, on SSE in the query. */
const CONNECT = JSON.stringify({ subs: { g0: {} } })

/** @param {number} port */
function configuration(port) {
  return {
    http_server: { address: '127.0.0.1', port },
    log: { level: 'none' },
    // Nothing leaves the machine.
    usage_stats: { disabled: true },
    http_api: { key: API_KEY },
    client: { allow_anonymous_connect_without_token: true },
    channel: {
      without_namespace: { allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true },
    },
    uni_websocket: { enabled: true },
    uni_sse: { enabled: true },
  }
}

/** All messages of a turn in one request: its commands are carried out in their order. @param {string[]} texts */
function batch(texts) {
  const commands = texts.map((text) => `{"publish":{"channel":"g0","data":${text}}}`)
  return [`{"commands":[${commands.join(',')}]}`]
}

/** @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'centrifugo',
  title: 'Centrifugo (unidirectional, memory engine)',
  kind: 'peer',
  transports: ['websocket', 'sse'],
  hasGroups: false,
  answersEarly: true,
  missing: () => missingProgram('centrifugo', 'version 6', 'its releases'),
  async start(settings) {
    const folder = mkdtempSync(join(tmpdir(), 'groupcast-centrifugo-'))
    const port = await freePort()
    const file = join(folder, 'config.json')
    writeFileSync(file, JSON.stringify(configuration(port)))
    const clients =
      settings.transport === 'sse'
        ? { path: `/connection/uni_sse?cf_connect=${encodeURIComponent(CONNECT)}` }
        : { path: '/connection/uni_websocket', hello: CONNECT }
    const publishing = { target: '/api/batch', headers: { 'X-API-Key': API_KEY }, bodies: batch }
    const command = [programPath('centrifugo') ?? 'centrifugo', '--config', file]
    return startProgram({ command, port, ...clients, publishing }, settings)
  },
}
