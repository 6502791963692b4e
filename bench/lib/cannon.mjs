// @ts-check
/** autocannon in a process of its own: `cannon.mjs <url> <body> <seconds> <connections>` prints figures as JSON. */
// @ts-expect-error: the package has no types
import autocannon from 'autocannon'

const [url = '', body = '', seconds = '1', connections = '10'] = process.argv.slice(2)

const options = {
  url,
  body,
  connections: Number(connections),
  method: 'POST',
  headers: { 'content-type': 'application/json' },
}
// The first second is the compiler's.
await autocannon({ ...options, duration: 1 })
const result = await autocannon({ ...options, duration: Number(seconds) })
const failed = result.non2xx + result.errors + result.timeouts
const tookMs = Number(seconds) * 1000 + 1000
const requests = result.requests.total
console.log(
  JSON.stringify({
    requests,
    perSecond: requests / Number(seconds),
    p99: result.latency.p99,
    failed,
    tookMs,
  }),
)
