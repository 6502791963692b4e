/** Sees the timers that the code of `src/` has set and not cancelled; Node lists only those that keep the process alive. */
import { fileURLToPath } from 'node:url'

const SOURCE = fileURLToPath(new URL('../../src/', import.meta.url))

export interface TimerWatch {
  /** Where each live timer was set: the lines of its stack that are in `src/`, oldest timer first. */
  live(): string[]
  /** Puts the real functions back. */
  stop(): void
}

/** Watches from now on. Only one watch at a time. */
export function watchTimers(): TimerWatch {
  const real = { setTimeout, setInterval, clearTimeout, clearInterval }
  const { stackTraceLimit } = Error
  // Deep enough to come from ws and node:http back to our own call.
  Error.stackTraceLimit = 30
  const live = new Map<unknown, string>()
  const place = () =>
    (new Error().stack ?? '')
      .split('\n')
      .filter((line) => line.includes(SOURCE))
      .map((line) => line.trim())
      .join('\n')
  const watch = (timer: unknown) => {
    const where = place()
    if (where !== '') live.set(timer, where)
    return timer
  }
  const wrapped = {
    setTimeout(task: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) {
      const timer: unknown = real.setTimeout(() => {
        live.delete(timer)
        task(...args)
      }, ms)
      return watch(timer)
    },
    setInterval: (task: () => void, ms?: number, ...args: unknown[]) =>
      watch(real.setInterval(task, ms, ...(args as []))),
    clearTimeout(timer?: NodeJS.Timeout) {
      live.delete(timer)
      real.clearTimeout(timer)
    },
    clearInterval(timer?: NodeJS.Timeout) {
      live.delete(timer)
      real.clearInterval(timer)
    },
  }
  Object.assign(globalThis, wrapped)
  return {
    live: () => [...live.values()],
    stop() {
      Object.assign(globalThis, real)
      Error.stackTraceLimit = stackTraceLimit
    },
  }
}
