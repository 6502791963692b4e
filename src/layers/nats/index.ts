/** The channel layer over NATS. */
import type { ChannelLayer } from '../layer.ts'
import { NatsLayer } from './nats-layer.ts'
import { type NatsLayerOptions, resolveOptions } from './options.ts'

export type { NatsLayerOptions }

/**
 * A channel layer over NATS: the hubs of several machines share groups, channels and history through one NATS server or cluster, 2.9 or newer, with
 * JetStream enabled. Needs the package `@nats-io/transport-node`.
 *
 * Groups without history go through core NATS. History and channels are kept in two JetStream streams, `<prefix>-history` and `<prefix>-queues`, which the layer
 * makes when they are not there. A layer serves one hub.
 *
 * @example
 * import { createHub } from 'groupcast'
 * import { natsLayer } from 'groupcast/layers/nats'
 *
 * const hub = createHub({ layer: natsLayer({ servers: 'nats://127.0.0.1:4222' }) })
 *
 * @throws {MisuseError} (code `invalid-option`) naming the option, its value and what is allowed
 */
export function natsLayer(options: NatsLayerOptions = {}): ChannelLayer {
  return new NatsLayer(resolveOptions(options))
}
