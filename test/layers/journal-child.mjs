/**
 * A process that publishes until it is killed: `journal-child.mjs <directory> <file of acknowledgements> <run> <sync>`. Each line it appends to the file
 * is a publication that was acknowledged; it survives the process like the journal does.
 */
import { openSync, writeSync } from 'node:fs'
import { memoryLayer } from '../../dist/index.js'
import { fileJournal } from '../../dist/layers/file-journal/index.js'

const [directory, path, run, sync] = process.argv.slice(2)
const acknowledged = openSync(path, 'a')
const layer = memoryLayer({ journal: fileJournal({ directory, maxBytes: 4 * 1024 * 1024, sync }) })
const report = (error) => {
  // A record that was not finished is what a kill may leave; anything else is a failure.
  if (!/^\d+ bytes of a record that was not finished/.test(error.message))
    writeSync(acknowledged, `! ${error.message}\n`)
}
const sink = { deliver() {}, receive: () => true, status() {}, report }
await layer.start({
  nodeId: 'child',
  sink,
  historyOf: () => ({ count: 200, ageMs: 1e8, bytes: 1e6 }),
})

for (let n = 0; ; n++) {
  const sizes = Array.from({ length: 1 + (n % 8) }, (_, index) => ((n * 31 + index * 17) % 40) ** 2)
  const lines = await Promise.all(
    sizes.map(async (size, index) => {
      const group = 'abcd'[(n + index) % 4]
      const json = JSON.stringify({ type: 'n', id: `${run}.${n}.${index}`, pad: 'x'.repeat(size) })
      return `${group} ${await layer.groupSend(group, json)} ${run}.${n}.${index}\n`
    }),
  )
  writeSync(acknowledged, lines.join(''))
  // Others get their turn: a base is written between two.
  if (n % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
}
