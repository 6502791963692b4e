/**
 * Runs once before all tests: finds what they need besides npm packages, Chromium, Redis, NATS, nginx and Django Channels, or installs it where this process may (as root on Debian). What
 * is missing then fails when `CI` is set. Elsewhere the browser tests are skipped without Chromium, with a line to say why.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const CANDIDATES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

export function setup(): void {
  const browser = findChromium() ?? installed(['chromium'], findChromium)
  // An empty text, not none: tests ask whether it is there.
  process.env.CHROMIUM_PATH = browser ?? ''
  if (browser === null) {
    missing(
      'Chromium was not found: install it (Debian: apt-get install chromium) or set CHROMIUM_PATH.',
      'The browser tests are skipped.',
    )
  }
  const redis = () => findProgram('redis-server')
  if ((redis() ?? installed(['redis-server'], redis)) === null) {
    missing(
      'redis-server was not found: install it (Debian: apt-get install redis-server).',
      'The tests of layers over Redis fail.',
    )
  }
  const django = () => (hasPython('daphne, channels, channels_redis') ? findProgram('daphne') : null)
  if ((django() ?? installed(DJANGO, django)) === null) {
    missing(
      `Django Channels was not found: install it (Debian: apt-get install ${DJANGO.join(' ')}).`,
      'The tests beside Django fail.',
    )
  }
  const nats = () => findProgram('nats-server')
  if ((nats() ?? installed(['nats-server'], nats)) === null) {
    missing(
      'nats-server was not found: install it (Debian: apt-get install nats-server).',
      'The tests of the layer over NATS fail.',
    )
  }
  const nginx = () => findProgram('nginx')
  if ((nginx() ?? installed(['nginx-light'], nginx)) === null) {
    missing(
      'nginx was not found: install it (Debian: apt-get install nginx-light).',
      'The test of hubs behind a proxy fails.',
    )
  }
}

const DJANGO = ['python3-django-channels', 'python3-channels-redis', 'daphne']

function missing(text: string, consequence: string): void {
  if (process.env.CI !== undefined && process.env.CI !== '' && process.env.CI !== 'false')
    throw new Error(text)
  console.error(`${text} ${consequence}`)
}

function findChromium(): string | null {
  const given = process.env.CHROMIUM_PATH
  if (given !== undefined && given !== '') return existsSync(given) ? given : null
  return CANDIDATES.find((path) => existsSync(path)) ?? null
}

function findProgram(name: string): string | null {
  // Debian has servers where the PATH of an ordinary user does not lead.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null
}

/** Whether Debian's Python has these modules. */
function hasPython(modules: string): boolean {
  return spawnSync('/usr/bin/python3', ['-c', `import ${modules}`]).status === 0
}

/** Installs packages of Debian's. @returns what `find` finds then */
function installed(names: readonly string[], find: () => string | null): string | null {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return null
  console.error(`Installing ${names.join(' ')} for the tests (apt-get install ${names.join(' ')}) …`)
  const run = (...args: string[]) =>
    spawnSync('apt-get', args, {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      encoding: 'utf8',
    })
  run('update', '-qq')
  const { status, stderr } = run('install', '-y', '-qq', '--no-install-recommends', ...names)
  if (status !== 0) console.error(stderr)
  return find()
}
