// @ts-check
/** Peer: better-sse; one channel a group, `channel.broadcast`. */
import { createServer } from 'node:http'
import { peer } from '../lib/peers.mjs'
import { listen, serve } from './harness.mjs'

await serve(async () => {
  const { createChannel, createSession } = await peer('better-sse')
  /** @type {Map<string, any>} */
  const channels = new Map()
  /** @param {string} name */
  const channelOf = (name) => {
    const channel = channels.get(name) ?? createChannel()
    channels.set(name, channel)
    return channel
  }
  const server = createServer(async (request, response) => {
    const session = await createSession(request, response)
    const { searchParams } = new URL(request.url ?? '/', 'http://localhost')
    for (const group of searchParams.getAll('group')) channelOf(group).register(session)
  })
  return {
    port: await listen(server),
    turn(messages) {
      for (const { group, text } of messages) channelOf(group).broadcast(JSON.parse(text))
    },
  }
})
