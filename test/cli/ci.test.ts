/** The last line of continuous integration is always the count. */
import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const report = (passed: number, failed: number, pending = 0) =>
  JSON.stringify({
    success: failed === 0,
    numPassedTests: passed,
    numFailedTests: failed,
    numPendingTests: pending,
  })

/** Runs `.ci/run` where `npm` does what the script says. */
async function ci(npm: string): Promise<{ code: number; last: string | undefined }> {
  const directory = await mkdtemp(join(tmpdir(), 'groupcast-ci-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  await cp(join(ROOT, '.ci'), join(directory, '.ci'), { recursive: true })
  await cp(join(ROOT, 'scripts'), join(directory, 'scripts'), { recursive: true })
  await mkdir(join(directory, 'bin'))
  await writeFile(join(directory, 'bin/npm'), `#!/usr/bin/env bash\n${npm}\n`)
  await chmod(join(directory, 'bin/npm'), 0o755)
  const env = { ...process.env, PATH: `${join(directory, 'bin')}${delimiter}${process.env.PATH}` }
  return new Promise((resolve) => {
    execFile('bash', [join(directory, '.ci/run')], { env }, (error, stdout) =>
      resolve({ code: Number(error?.code ?? 0), last: stdout.trimEnd().split('\n').at(-1) }),
    )
  })
}

const TESTS = (text: string) =>
  `case "$*" in test|*check:node24) echo '${text}' > test-results/report.json;; esac`

// The symptom was a run without the line that its readers look for, or one that said `0 failed` and failed: `npm ci` ended the script, and
// a static check, like a test command that broke outside the tests, was not counted.
test.each<[what: string, npm: string, code: number, last: string]>([
  ['everything passes', TESTS(report(5, 0)), 0, '10 passed, 0 failed'],
  ['some are skipped', TESTS(report(5, 0, 2)), 0, '10 passed, 0 failed'],
  ['tests and a static check fail', `${TESTS(report(4, 1))}; [ "$1" = ci ]`, 1, '8 passed, 3 failed'],
  ['nothing can be installed', 'exit 1', 1, '0 passed, 1 failed'],
  ['a static check fails', `${TESTS(report(5, 0))}; [ "$2" != check:static ]`, 1, '10 passed, 1 failed'],
  ['a test command breaks afterwards', `${TESTS(report(5, 0))}; [ "$1" != test ]`, 1, '10 passed, 1 failed'],
  ['no test runs', '[ "$1" = ci ] || [ "$2" = check:static ]', 1, '0 passed, 2 failed'],
])('%s', async (_what, npm, code, last) => {
  expect(await ci(npm)).toEqual({ code, last })
})
