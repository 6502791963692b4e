/**
 * Prints `N passed, N failed` as the last line, and exits 1 when anything failed: `node scripts/count-tests.mjs <steps> <result>:<report>…`.
 * `steps` is the number of steps that failed besides the tests. `result` is the exit code of a test command, `report` its JSON report;
 * a command that failed without a failed test, or left no report, counts as one failure.
 */
import { readFileSync } from 'node:fs'

const [steps = '0', ...runs] = process.argv.slice(2)
let passed = 0
let failed = Number(steps)
let skipped = 0
for (const run of runs) {
  const colon = run.indexOf(':')
  const hasFailed = run.slice(0, colon) !== '0'
  const file = run.slice(colon + 1)
  const report = read(file)
  if (report === null) console.error(`There is no report ${file}: the tests did not run.`)
  passed += report?.numPassedTests ?? 0
  skipped += report?.numPendingTests ?? 0
  const counted = report?.numFailedTests ?? 0
  // A file that could not be loaded has failed without a failed test.
  const isUncounted = report === null || hasFailed || !report.success
  failed += counted === 0 && isUncounted ? 1 : counted
}
if (skipped > 0) console.log(`${skipped} skipped`)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)

function read(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return null
  }
}
