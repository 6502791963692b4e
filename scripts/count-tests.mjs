/** Prints `N passed, N failed` (and `, N skipped`) of the test runner's JSON reports; exits 1 when a report is missing or tests failed. */
import { readFileSync } from 'node:fs'

let passed = 0
let failed = 0
let skipped = 0
for (const file of process.argv.slice(2)) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'))
    passed += report.numPassedTests
    // A file that could not be loaded has failed without a failed test.
    failed += report.numFailedTests + (report.success || report.numFailedTests > 0 ? 0 : 1)
    skipped += report.numPendingTests
  } catch {
    console.error(`There is no report ${file}: the tests did not run.`)
    failed += 1
  }
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(failed > 0 ? 1 : 0)
