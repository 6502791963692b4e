// @ts-check
/** Control: what an application on `node:http` does without a hub. `response.write(event)` for each message and stream. */
import { createServer } from 'node:http'
import { event } from './frames.mjs'
import { listen, Members, serve } from './harness.mjs'

await serve(async () => {
  const members = /** @type {Members<import('node:http').ServerResponse>} */ (new Members())
  const server = createServer((request, response) => {
    response.on('error', () => {})
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.flushHeaders()
    members.join(request.url ?? '/', response)
  })
  return {
    port: await listen(server),
    turn(messages) {
      for (const { group, text } of messages) {
        const bytes = Buffer.from(event(text))
        for (const response of members.of(group)) response.write(bytes)
      }
    },
  }
})
