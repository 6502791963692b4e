/** The process of a crowd: `worker-crowd.ts` starts it and calls the crowd's methods by messages. */
import type { CrowdOptions } from './crowd.ts'
import { type CrowdHandle, LocalCrowd } from './crowd-handle.ts'
import type { Call, Reply } from './worker-crowd.ts'

let crowd: CrowdHandle | null = null

async function answer({ id, method, args }: Call): Promise<void> {
  const reply = await call(method, args).then(
    (result): Reply => ({ id, result }),
    (error): Reply => ({ id, error: error instanceof Error ? error.message : String(error) }),
  )
  process.send?.(reply, () => {
    if (method === 'leave') process.disconnect()
  })
}

async function call(method: Call['method'], args: readonly unknown[]): Promise<unknown> {
  if (method === 'open') {
    crowd = new LocalCrowd(args[0] as CrowdOptions)
    return undefined
  }
  if (crowd === null) throw new Error('The crowd was not opened.')
  // Both sides are of one build: the arguments are those that `CrowdHandle` declares.
  return (crowd[method] as (...given: unknown[]) => Promise<unknown>).apply(crowd, [...args])
}

// Interrupted in a terminal, the whole group of processes is told: whoever started this one decides when it ends.
process.on('SIGINT', () => {})
process.on('message', (message: Call) => void answer(message))
process.on('disconnect', () => process.exit())
