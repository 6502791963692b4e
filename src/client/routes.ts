import type { ClientError } from './client-error.ts'
import type { Connection } from './connection.ts'
import type { ClientTransport } from './link.ts'
import type { Settings } from './options.ts'
import { platform, type StorageLike } from './platform.ts'

/** A connection that is cut within this time of its opening was perhaps cut by a proxy that only lets the handshake through. */
const QUICK_CUT_MS = 5_000
/** So many of them in a row are no accident. */
const MOST_QUICK_CUTS = 2

/** Which transport is tried first: the preferred one, unless it failed a short while ago where the other did not. */
export interface Routes {
  /** The transports, in the order in which they are to be tried now. */
  order(): readonly ClientTransport[]
  opened(transport: ClientTransport): void
  /** @param openMs how long it was open, if it was */
  ended(connection: Connection, openMs: number, reason: ClientError): void
}

export function createRoutes({ transports, fallbackMs, clock, storage }: Settings, { href }: URL): Routes {
  // By the transports too: what one client of the page knows of its only one says nothing about the choice of another.
  const key = `groupcast ${transports} ${href}`
  let hasFailed = false
  let quickCuts = 0
  let avoidUntil = 0

  // Storage may be full, hold what something else put there, or throw at a look (in sandboxed pages): then this page remembers.
  const stored = (use: (storage: StorageLike) => unknown) => {
    try {
      const place = storage ?? platform.sessionStorage
      if (place) use(place)
    } catch {}
  }
  const avoid = (until: number) => {
    if (until === avoidUntil) return
    avoidUntil = until
    stored((place) => place.setItem(key, String(until)))
  }
  const avoidForAWhile = () => avoid(clock.now() + fallbackMs)

  stored((place) => {
    avoidUntil = Number(place.getItem(key)) || 0
  })
  return {
    order() {
      hasFailed = false
      return clock.now() < avoidUntil ? [...transports].reverse() : transports
    },
    opened(transport) {
      if (transport === transports[0]) avoid(0)
      // Only now: where both fail it is the network or the hub.
      else if (hasFailed) avoidForAWhile()
    },
    ended({ transport, id }, openMs, { code }) {
      if (transport !== transports[0]) return
      const isCut = code === 'connection-lost'
      hasFailed = isCut && !id
      if (!id) return
      quickCuts = isCut && openMs < QUICK_CUT_MS ? quickCuts + 1 : 0
      if (quickCuts >= MOST_QUICK_CUTS) avoidForAWhile()
    },
  }
}
