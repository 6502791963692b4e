// @ts-check
/**
 * autocannon in a process of its own: `cannon.mjs <url> <body> <connections> <length>`, the length as JSON: `{ "duration": 3 }` seconds, or
 * `{ "amount": 100 }` requests. Warms up, prints `ready`, waits for the end of its input, and prints figures as JSON.
 */
import { once } from 'node:events'
// @ts-expect-error: the package has no types
import autocannon from 'autocannon'

const [url = '', body = '', connections = '10', length = '{}'] = process.argv.slice(2)
const { duration, amount } = JSON.parse(length)

const options = {
  url,
  body,
  connections: Number(connections),
  method: 'POST',
  headers: { 'content-type': 'application/json' },
}
// The first second is the compiler's.
await autocannon({ ...options, ...(amount === undefined ? { duration: 1 } : { amount }) })
console.log('ready')
await once(process.stdin.resume(), 'end')
const cpu = process.cpuUsage()
const startMs = performance.now()
const result = await autocannon({ ...options, ...(amount === undefined ? { duration } : { amount }) })
const tookMs = performance.now() - startMs
const { user, system } = process.cpuUsage(cpu)
const requests = result.requests.total
console.log(
  JSON.stringify({
    requests,
    perSecond: (requests * 1000) / tookMs,
    p99: result.latency.p99,
    failed: result.non2xx + result.errors + result.timeouts,
    tookMs,
    busy: (user + system) / 1000 / tookMs,
  }),
)
