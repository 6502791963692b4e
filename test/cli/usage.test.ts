import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { endRuns, groupcast, MAIN } from './groupcast.ts'

const KEY = 'key-0123456789abcdef'

let cwd: string

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'groupcast-cli-'))
})

afterEach(() => {
  endRuns()
  rmSync(cwd, { recursive: true })
})

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

describe('groupcast', () => {
  test('starts with a line for the shell', () => {
    expect(readFileSync(MAIN, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
  })

  test('--version prints the version of the package', async () => {
    expect(await groupcast(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  test('--help prints the commands', async () => {
    const { code, stdout, stderr } = await groupcast(['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const name of ['serve', 'publish', 'subscribe', 'token', 'check-config'])
      expect(stdout).toContain(`  ${name} `)
  })

  test('without a command prints the help on stderr', async () => {
    const { code, stdout, stderr } = await groupcast([])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^Usage: groupcast /)
  })

  test.each(['serve', 'publish', 'subscribe', 'token', 'check-config'])('%s --help', async (name) => {
    const { code, stdout, stderr } = await groupcast([name, '--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^Usage: groupcast ${name} `))
  })

  test.each<[string[], string]>([
    [['bogus'], "unknown command 'bogus'. See groupcast --help."],
    [['--bogus'], "unknown option '--bogus'. See groupcast --help."],
    [['serve', '--prot', '1'], "unknown option '--prot'. (Did you mean --port?)"],
    [
      ['serve', 'now'],
      "too many arguments for 'serve'. Expected 0 arguments but got 1. See groupcast --help.",
    ],
    [['serve', '--port'], "option '--port <number>' argument missing. See groupcast --help."],
    [['publish', 'a'], "missing required argument 'json'. See groupcast --help."],
    [['subscribe'], "missing required argument 'group'. See groupcast --help."],
    [
      ['subscribe', 'a', '--transport', 'tcp'],
      "option '--transport <name>' argument 'tcp' is invalid. Allowed choices are websocket, sse, ndjson. See groupcast --help.",
    ],
    [
      ['subscribe', 'a', '--count', '0'],
      "option '--count <n>' argument '0' is invalid. Give a whole number from 1 up. See groupcast --help.",
    ],
    [
      ['subscribe', 'a', '--history', '2', '--cursor', 'e.1'],
      "option '--cursor <cursor>' cannot be used with option '--history <n>'. See groupcast --help.",
    ],
    [
      ['subscribe', 'a', '--cursor', 'a b'],
      "option '--cursor <cursor>' argument 'a b' is invalid. Give a cursor as publish prints it. See groupcast --help.",
    ],
    [
      ['subscribe', 'a', '--path', 'events'],
      "option '--path <path>' argument 'events' is invalid. Give a path such as /events. See groupcast --help.",
    ],
    [
      ['subscribe', 'a,b'],
      '"a,b" is not a group name: use 1–255 characters of A-Z a-z 0-9 . _ ~ : @ # $ / -.',
    ],
    [
      ['publish', '', '{"type":"x"}'],
      '"" is not a group name: use 1–255 characters of A-Z a-z 0-9 . _ ~ : @ # $ / -.',
    ],
    [
      ['publish', '..', '{"type":"x"}'],
      'a group named ".." cannot stand in a URL: send to it with POST /api/publish.',
    ],
    [
      ['publish', 'a', '{type:x}'],
      'the message is not valid JSON: give one such as \'{"type":"chat.message","text":"hi"}\', in quotes for the shell.',
    ],
    [
      ['publish', 'a', '{}'],
      'A message needs a "type" that is a string of at least one character; this one has undefined.',
    ],
    [
      ['publish', 'a', '{"type":"x"}', '--url', 'example.com'],
      "option '--url <url>' argument 'example.com' is invalid. Give a URL such as http://127.0.0.1:8000. See groupcast --help.",
    ],
    [
      ['publish', 'a', '{"type":"x"}', '--url', 'http://user:hush@example.com'],
      'the URL must not hold a user or a password (it is not shown): give an API key with GROUPCAST_API_KEY.',
    ],
  ])('%j is wrong usage: one line, no stack', async (args, text) => {
    expect(await groupcast(args)).toEqual({ code: 2, stdout: '', stderr: `groupcast: ${text}\n` })
  })
})

describe.each(['serve', 'check-config'])('%s with a wrong configuration', (name) => {
  test('prints every problem and ends with 2', async () => {
    writeFileSync(join(cwd, 'groupcast.config.json'), '{"prot":1}')
    const args = [name, '--port', 'x', '--api-key', KEY, '--api-key', 'hush', '--allowed-origin', 'a']
    const env = { GROUPCAST_LOG_LEVEL: 'loud' }
    expect(await groupcast(args, { cwd, env })).toEqual({
      code: 2,
      stdout: '',
      stderr: [
        'port (flag --port) is "x": it must be a whole number from 0 to 65535.',
        'apiKeys[1] (flag --api-key) is not valid (its value is not shown): it must be at least 16 visible ASCII characters without spaces, or an object with key, scopes and groups.',
        'allowedOrigins[0] (flag --allowed-origin) is "a": it must be an origin such as "https://app.example" (scheme, host and port exactly), or "*" for any page.',
        'logLevel (variable GROUPCAST_LOG_LEVEL) is "loud": it must be "silent", "error", "warn", "info" or "debug".',
        'prot (file groupcast.config.json) is not a configuration key. Did you mean "port"?',
      ]
        .map((text) => `groupcast: ${text}\n`)
        .join(''),
    })
  })

  test('refuses a public host without keys', async () => {
    const { code, stderr } = await groupcast([name, '--host', '0.0.0.0'], { cwd })
    expect(code).toBe(2)
    expect(stderr).toMatch(/^groupcast: host \(flag --host\) is "0\.0\.0\.0", .*--insecure\.\n$/)
  })

  test('names an unreadable file', async () => {
    expect(await groupcast([name, '--config', 'none.yaml'], { cwd })).toEqual({
      code: 2,
      stdout: '',
      stderr: 'groupcast: file none.yaml (named by --config) cannot be read: there is no such file.\n',
    })
  })
})

describe('check-config', () => {
  test('shows no secret, wherever it stands', async () => {
    const secret = 'vR8mQ2xLp0aZk7WcT4bY9nHe3sJd6fGu'
    const env = {
      GROUPCAST_API_KEYS: JSON.stringify([`${secret}1`, { key: `${secret}2`, scopes: ['read'] }]),
      GROUPCAST_AUTH_KEYS: JSON.stringify([{ kid: '1', algorithm: 'HS256', secret }]),
    }
    const several = await groupcast(['check-config'], { env })
    const one = await groupcast(['check-config'], { env: { GROUPCAST_AUTH_SECRET: secret } })
    for (const { code, stdout, stderr } of [several, one]) {
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toContain('***')
      expect(stdout).not.toContain(secret)
    }
    expect(several.stdout).toContain('"scopes"')
  })

  test('prints ok and what serve would use, with secrets masked', async () => {
    writeFileSync(join(cwd, 'groupcast.config.yaml'), `port: 9000\napiKeys: [${KEY}, second-${KEY}]\n`)
    const args = ['check-config', '--no-playground', '--insecure', '--drain-ms', '5']
    const env = { GROUPCAST_HOST: '0.0.0.0' }
    const { code, stdout, stderr } = await groupcast(args, { cwd, env })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^ok\n\{\n/)
    expect(stdout).not.toContain(KEY)
    expect(JSON.parse(stdout.slice('ok\n'.length))).toMatchObject({
      host: '0.0.0.0',
      port: 9000,
      apiKeys: ['***', '***'],
      playground: false,
      insecure: true,
      drainMs: 5,
    })
  })
})

test('nobody waits for ever for a server that does not answer', async () => {
  const sockets = new Set<Socket>()
  const silent = createServer((socket) => sockets.add(socket.on('error', () => {})))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  const late = {
    code: 1,
    stdout: '',
    stderr: `groupcast: ${url} does not answer: check the address and the network.\n`,
  }
  const subscribe = ['websocket', 'sse', 'ndjson'].map((transport) =>
    groupcast(['subscribe', 'a', '--url', url, '--no-reconnect', '--transport', transport]),
  )
  const outcomes = await Promise.all([
    groupcast(['publish', 'a', '{"type":"x"}', '--url', url]),
    ...subscribe,
  ])
  for (const socket of sockets) socket.destroy()
  silent.close()
  expect(outcomes).toEqual([late, late, late, late])
})
