/** Copies what the compiler does not: the files of the playground page. Runs after `tsc`, as part of `npm run build`. */
import { chmodSync, cpSync } from 'node:fs'

const from = new URL('../src/server/playground/', import.meta.url)
const to = new URL('../dist/server/playground/', import.meta.url)

cpSync(from, to, { recursive: true, filter: (source) => !source.endsWith('.ts') })
// npm does this when it installs the package; a clone has no such moment.
chmodSync(new URL('../dist/cli/main.js', import.meta.url), 0o755)
