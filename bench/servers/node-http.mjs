// @ts-check
/** Control: a handler that reads a body, parses its JSON, and answers with JSON. */
import { createServer } from 'node:http'
import { listen, serve } from './harness.mjs'

await serve(async () => {
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (text) => {
      body += text
    })
    request.on('end', () => {
      const { type } = JSON.parse(body)
      const answer = JSON.stringify({ cursor: null })
      response.writeHead(typeof type === 'string' ? 200 : 422, {
        'content-type': 'application/json',
        'content-length': answer.length,
      })
      response.end(answer)
    })
  })
  return { port: await listen(server), turn() {} }
})
