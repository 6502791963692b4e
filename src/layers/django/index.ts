/** The channel layer of Django Channels: a hub among the processes of a Django project, over the Redis that these have. */
import type { ChannelLayer } from '../layer.ts'
import type { DjangoHost } from './hosts.ts'
import { DjangoLayer } from './layer.ts'
import { type DjangoLayerOptions, resolveOptions } from './options.ts'

export type { DjangoHost, DjangoLayerOptions }

/**
 * A layer that speaks what `channels_redis` 4 speaks, byte for byte: what a Django view sends to a group with `group_send` reaches the clients of
 * this hub, and `hub.groupSend` reaches consumers of Django. See `docs/django.md` for how to connect a project, and for what is not carried.
 *
 * It keeps no history. Names are those of Django Channels. A message that would end a consumer of Django is refused with `invalid-message`.
 *
 * @example
 * import { createHub } from 'groupcast'
 * import { djangoLayer } from 'groupcast/layers/django'
 *
 * const hub = createHub({ layer: djangoLayer({ protocol: 'core', hosts: ['redis://localhost:6379'] }) })
 *
 * @throws {MisuseError} (code `invalid-option`) naming the option, its value and what is allowed
 */
export function djangoLayer(options: DjangoLayerOptions): ChannelLayer {
  return new DjangoLayer(resolveOptions(options))
}
