// @ts-check
/** Control: a loop of `write()` in C, compiled when there is a compiler. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const SOURCE = fileURLToPath(new URL('../servers/write-loop.c', import.meta.url))

/** @type {string | null} */
let program = null

function compiled() {
  if (program !== null) return program
  const file = join(mkdtempSync(join(tmpdir(), 'groupcast-bench-')), 'write-loop')
  const { status, stderr } = spawnSync('cc', ['-O2', '-o', file, SOURCE], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`cc failed: ${stderr}`)
  program = file
  return file
}

/** @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'c-loop',
  title: 'C loop of write()',
  kind: 'control',
  transports: ['websocket', 'sse', 'mixed'],
  hasGroups: true,
  missing: () =>
    spawnSync('cc', ['--version']).status === 0
      ? null
      : 'no C compiler (Debian: apt-get install gcc libc6-dev)',
  async start({ prefix, size, groups }) {
    const [command = '', ...args] = [...prefix, compiled()]
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const answer = async () => String((await lines.next()).value)
    /** @param {string} line */
    const ask = (line) => {
      child.stdin.write(`${line}\n`)
      return answer()
    }
    const port = await answer()
    return {
      url: `http://127.0.0.1:${port}`,
      path: '/events',
      async burst({ turns, perTurn, first }) {
        await ask(`burst ${turns} ${perTurn} ${first} ${size} ${groups}`)
      },
      async usage() {
        const [cpuUs = 0, rssBytes = 0] = (await ask('usage')).split(' ').map(Number)
        return { cpuUs, rssBytes }
      },
      pid: child.pid ?? 0,
      async stop() {
        const exited = once(child, 'exit')
        child.kill('SIGKILL')
        await exited
      },
    }
  },
}
