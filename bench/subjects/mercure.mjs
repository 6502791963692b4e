// @ts-check
/** Peer: the Mercure.rocks hub, a build of Caddy, without history. */
import { createHmac } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, missingProgram, programPath, startProgram } from '../lib/process-subject.mjs'

const KEY = 'the-benchmark-publishes-to-loopback-only'

/** @param {number} port */
function configuration(port) {
  return `
{
  admin off
  persist_config off
  auto_https off
  log {
    level ERROR
  }
}
http://127.0.0.1:${port} {
  bind 127.0.0.1
  mercure {
    publisher_jwt ${KEY} HS256
    anonymous
    transport local
    write_timeout 0s
  }
}
`
}

/** A token that may publish to any topic (RFC 7515, HS256). */
function publisherToken() {
  const encode = (/** @type {object} */ part) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ mercure: { publish: ['*'] } })}`
  return `${signed}.${createHmac('sha256', KEY).update(signed).digest('base64url')}`
}

/** A request takes one message. @param {string[]} texts */
function forms(texts) {
  return texts.map((text) => new URLSearchParams({ topic: 'g0', data: text }).toString())
}

/** @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'mercure',
  title: 'Mercure.rocks hub (Caddy, local transport)',
  kind: 'peer',
  transports: ['sse'],
  hasGroups: false,
  answersEarly: true,
  missing: () => missingProgram('mercure', 'version 0.24', 'its releases'),
  async start(settings) {
    const folder = mkdtempSync(join(tmpdir(), 'groupcast-mercure-'))
    const port = await freePort()
    const file = join(folder, 'Caddyfile')
    writeFileSync(file, configuration(port))
    const headers = {
      Authorization: `Bearer ${publisherToken()}`,
      'Content-Type': 'application/x-www-form-urlencoded',
    }
    const publishing = { target: '/.well-known/mercure', headers, bodies: forms }
    const path = '/.well-known/mercure?topic=g0'
    // Caddy keeps files of its own in the home folder.
    const environment = ['env', `XDG_DATA_HOME=${folder}`, `XDG_CONFIG_HOME=${folder}`]
    const options = ['--adapter', 'caddyfile', '--config', file]
    const command = [...environment, programPath('mercure') ?? 'mercure', 'run', ...options]
    return startProgram({ command, port, path, publishing }, settings)
  },
}
