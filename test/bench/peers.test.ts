/** Peers that are programs of their own: found or named as missing, and never the reason that a run fails. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { poster } from '../../bench/lib/poster.mjs'
import { programPath } from '../../bench/lib/process-subject.mjs'

const RUN = fileURLToPath(new URL('../../bench/run.mjs', import.meta.url))
const PEERS = ['centrifugo', 'mercure']

async function bench(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [RUN, ...args], { env: { ...process.env, ...environment } })
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.resume()
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, stdout }
}

interface Result {
  readonly rows: readonly { readonly subject: string }[]
  readonly notes: readonly string[]
}

/** `fan-out` for a moment. */
async function fanOut(subject: string, environment: Readonly<Record<string, string>> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-peers-'))
  const args = ['fan-out', '--smoke', '--subject', subject, '--out', folder]
  const { code } = await bench(args, environment)
  const file = readdirSync(folder).find((name) => name.endsWith('.json')) ?? ''
  const { results } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { results: Result[] }
  rmSync(folder, { recursive: true })
  return { code, rows: results[0]?.rows ?? [], notes: results[0]?.notes ?? [] }
}

test.each(PEERS)('%s: a variable that leads nowhere is named, and what to install', async (name) => {
  const variable = name.toUpperCase()
  const { code, stdout } = await bench(['--list'], { [variable]: '/nowhere' })
  expect(stdout).toMatch(new RegExp(`^${name} .*missing, no ${name} at /nowhere \\(.+ ${variable}=`, 'm'))
  expect(code).toBe(0)
})

test.each(PEERS)('%s: a program that does not serve is left out with a note', async (name) => {
  // Node refuses the options and ends.
  const { code, rows, notes } = await fanOut(name, { [name.toUpperCase()]: process.execPath })
  expect(notes.join('\n')).toMatch(new RegExp(`left out, ${name}: the program did not begin to listen`))
  expect(rows).toEqual([])
  // No fault, but nothing was measured.
  expect(code).toBe(2)
})

// Neither is in Debian or on npm, so that most machines have none.
test.each(PEERS.filter((name) => programPath(name) !== null))('%s loses nothing', async (name) => {
  const { code, rows, notes } = await fanOut(name)
  expect(rows.map(({ subject }) => subject)).toContain(`${name} sse`)
  expect(notes.filter((note) => note.includes(name))).toEqual([])
  expect(code).toBe(0)
})

test.each([
  [200, '{"replies":[{"error":{"code":102,"message":"unknown channel"}}]}', /unknown channel/],
  [401, 'Unauthorized', /refused with 401/],
])('a refusal to publish is heard: %i', async (status, body, why) => {
  let key: string | string[] | undefined
  const server = createServer((request, response) => {
    key = request.headers['x-api-key']
    response.writeHead(status).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const publisher = await poster(`http://127.0.0.1:${port}`, '/api/batch', { 'X-API-Key': 'bench' })
  await expect(publisher.post(['{}'])).rejects.toThrow(why)
  expect(key).toBe('bench')
  publisher.close()
  server.close()
})
