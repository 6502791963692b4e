/** The channel layer of a server, as its configuration wants it. */
import { MisuseError } from '../errors.ts'
import { fileJournal } from '../layers/file-journal/index.ts'
import type { ChannelLayer } from '../layers/layer.ts'
import { memoryLayer } from '../layers/memory.ts'
import type { Config } from './config/schema.ts'
import { type LayerSpec, parseLayerUrl } from './layer-url.ts'

/** The part of a configuration that concerns the layer. */
type LayerConfig = Pick<Config, 'layer' | 'journal' | 'maxHistoryBytes' | 'groups'>

/** What the stream of the NATS layer keeps of a group unless it is told otherwise. */
const NATS_DEFAULTS = { count: 1_000, ageMs: 24 * 60 * 60 * 1000 }

/** What a journal needs at least. */
const LEAST_JOURNAL_BYTES = 1024 * 1024

/**
 * Makes the layer; a hub starts it. Drivers are loaded when they are asked for: each needs a package of its own.
 *
 * @throws {MisuseError} `invalid-option` when that package is not installed
 */
export async function layerOf(config: LayerConfig): Promise<ChannelLayer> {
  if (config.layer === 'memory') return memoryOf(config)
  const spec = parseLayerUrl(config.layer)
  try {
    return await DRIVERS[spec.driver](spec as never, config)
  } catch (error) {
    throw missingPackage(error, spec) ?? error
  }
}

function memoryOf({ journal, maxHistoryBytes }: LayerConfig): ChannelLayer {
  if (journal === false) return memoryLayer({ maxHistoryBytes })
  // A third of a journal must hold what is kept, or a restart would forget some of it. What a message costs in memory is more than what it
  // takes in the file.
  const maxBytes = Math.max(3 * maxHistoryBytes, LEAST_JOURNAL_BYTES)
  return memoryLayer({ maxHistoryBytes, journal: fileJournal({ directory: journal, maxBytes }) })
}

type SpecOf<Driver extends LayerSpec['driver']> = LayerSpec & { readonly driver: Driver }

const DRIVERS = {
  async redis({ servers, options }: SpecOf<'redis'>) {
    const { redisLayer } = await import('../layers/redis/index.ts')
    const { prefix, capacity, expiryMs, timeoutMs } = options
    return redisLayer({ ...servers, ...given({ prefix, capacity, expiryMs, timeoutMs }) })
  },
  async nats({ servers, options }: SpecOf<'nats'>, { groups }: LayerConfig) {
    const { natsLayer } = await import('../layers/nats/index.ts')
    const { prefix, capacity, expiryMs, timeoutMs, replicas } = options
    return natsLayer({
      servers,
      ...given({ prefix, capacity, expiryMs, timeoutMs, replicas }),
      ...mostOf(groups),
    })
  },
  async django({ servers, options }: SpecOf<'django'>) {
    const { djangoLayer } = await import('../layers/django/index.ts')
    const { prefix, capacity, expiryMs, timeoutMs, protocol = 'core' } = options
    return djangoLayer({
      protocol: protocol as 'core' | 'pubsub',
      hosts: servers,
      ...given({ prefix, capacity, expiryMs, timeoutMs }),
    })
  },
}

/** What a stream for all groups must be able to keep of each; nothing where its own limits do. */
function mostOf(groups: Config['groups']): { maxMessagesPerGroup?: number; maxHistoryAgeMs?: number } {
  const histories = groups.flatMap(({ history }) => (history === false ? [] : [history]))
  const count = Math.max(0, ...histories.map((history) => history.count))
  const ageMs = Math.max(0, ...histories.map(({ ageSeconds }) => Math.ceil(ageSeconds * 1000)))
  return {
    ...(count > NATS_DEFAULTS.count && { maxMessagesPerGroup: count }),
    ...(ageMs > NATS_DEFAULTS.ageMs && { maxHistoryAgeMs: ageMs }),
  }
}

/** Those that are there. */
function given<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
}

/** What to install, where a driver's own package cannot be found. */
function missingPackage(error: unknown, { driver }: LayerSpec): MisuseError | null {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'ERR_MODULE_NOT_FOUND') return null
  const name = /Cannot find package '([^']+)'/.exec(error.message)?.[1]
  if (name === undefined) return null
  const text = `The ${driver} layer needs the package ${name}, which is not installed: npm install ${name}`
  return new MisuseError('invalid-option', text)
}
