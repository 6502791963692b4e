// @ts-check
/** The hub: the standalone server as `groupcast serve` runs it, with messages sent in its own process or over its HTTP API. */
import { loadConfiguration, loadServer } from '../lib/dist.mjs'
import { serve } from './harness.mjs'

await serve(async ({ extra = {} }) => {
  const { startServer } = await loadServer()
  const { loadConfig } = await loadConfiguration()
  const loaded = loadConfig({ flags: { port: '0', ...extra }, env: {}, cwd: '/' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const { url, hub } = await startServer(loaded.config)
  return {
    port: Number(new URL(url).port),
    backlogBytes: () => hub.stats.backlogBytes,
    turn: (messages) =>
      Promise.all(messages.map(({ group, text }) => hub.groupSend(group, JSON.parse(text)))),
  }
})
