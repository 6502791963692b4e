/**
 * Runs once before all tests: finds Chromium, or installs it where this process may (as root on Debian). Without one the browser tests
 * are skipped with this line to say why, and fail when `CI` is set.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const CANDIDATES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

export function setup(): void {
  const path = findChromium() ?? installChromium()
  // An empty text, not none: tests ask whether it is there.
  process.env.CHROMIUM_PATH = path ?? ''
  if (path !== null) return
  const text = 'Chromium was not found: install it (Debian: apt-get install chromium) or set CHROMIUM_PATH.'
  if (process.env.CI !== undefined && process.env.CI !== '' && process.env.CI !== 'false')
    throw new Error(text)
  console.error(`${text} The browser tests are skipped.`)
}

function findChromium(): string | null {
  const given = process.env.CHROMIUM_PATH
  if (given !== undefined && given !== '') return existsSync(given) ? given : null
  return CANDIDATES.find((path) => existsSync(path)) ?? null
}

function installChromium(): string | null {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return null
  console.error('Installing Chromium for the browser tests (apt-get install chromium) …')
  const run = (...args: string[]) =>
    spawnSync('apt-get', args, {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      encoding: 'utf8',
    })
  run('update', '-qq')
  const { status, stderr } = run('install', '-y', '-qq', '--no-install-recommends', 'chromium')
  if (status !== 0) console.error(stderr)
  return findChromium()
}
