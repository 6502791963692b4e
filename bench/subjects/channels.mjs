// @ts-check
/** Peer: Django Channels on daphne; see `servers/channels_app.py`. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { freePort, startProgram } from '../lib/process-subject.mjs'

const FOLDER = fileURLToPath(new URL('../servers', import.meta.url))
// Debian's packages belong to Debian's Python, which may not be the first on the path.
const PYTHONS = ['python3', '/usr/bin/python3']

function python() {
  return PYTHONS.find((name) => spawnSync(name, ['-c', 'import channels, daphne']).status === 0) ?? null
}

/** @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'channels',
  title: 'Django Channels (daphne, in-memory layer)',
  kind: 'peer',
  transports: ['websocket'],
  hasGroups: false,
  answersEarly: true,
  mostPerTurn: 10,
  missing: () =>
    python() === null ? 'no Django Channels (Debian: apt-get install python3-django-channels daphne)' : null,
  async start(settings) {
    const port = await freePort()
    const options = ['-b', '127.0.0.1', '-p', String(port), '--verbosity', '0', 'channels_app:application']
    const environment = ['env', `PYTHONPATH=${FOLDER}`, 'PYTHONDONTWRITEBYTECODE=1']
    const command = [...environment, python() ?? 'python3', '-m', 'daphne', ...options]
    const bodies = (/** @type {string[]} */ texts) => [texts.join('\n')]
    return startProgram({ command, port, publishing: { target: '/publish', bodies } }, settings)
  },
}
