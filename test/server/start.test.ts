/** A server that cannot start leaves nothing running. */
import { expect, test, vi } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import { createHub } from '../../src/create-hub.ts'
import { loadConfig } from '../../src/server/config/load.ts'
import { loadPlayground } from '../../src/server/playground/assets.ts'
import { startServer } from '../../src/server/server.ts'

vi.mock('../../src/create-hub.ts', { spy: true })
vi.mock('../../src/api/api.ts', { spy: true })
vi.mock('../../src/server/playground/assets.ts', { spy: true })

test.each([
  ['the page', () => vi.mocked(loadPlayground).mockRejectedValueOnce(new Error('broken'))],
  [
    'the API',
    () =>
      vi.mocked(createApi).mockImplementationOnce(() => {
        throw new Error('broken')
      }),
  ],
])('when %s cannot be loaded, the hub is closed', async (_what, breakIt) => {
  // The symptom was a hub that went on, with its timers and its layer, behind a server that never was: only a failing `listen` closed it.
  const loaded = loadConfig({ flags: { port: 0 }, env: {}, cwd: '/nowhere' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  breakIt()
  await expect(startServer(loaded.config)).rejects.toThrow('broken')
  const hub = vi.mocked(createHub).mock.results.at(-1)?.value
  await expect(hub.groupSend('a', { type: 'm' })).rejects.toMatchObject({ code: 'hub-closed' })
})
