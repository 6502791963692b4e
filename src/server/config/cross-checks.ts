/** What keys of the configuration mean for each other. Each check looks at single values: others may be wrong. */
import { MisuseError } from '../../errors.ts'
import { parseLayerUrl } from '../layer-url.ts'
import { authenticateOf } from './auth.ts'
import { isLoopback } from './loopback.ts'
import type { ConfigProblem } from './problems.ts'
import { type Config, configSchema } from './schema.ts'
import { SETTINGS } from './settings.ts'

type Raw = Readonly<Record<string, unknown>>
type SourceOf = (key: string) => string

/** What is wrong with keys together. */
export function crossProblems(raw: Raw, sourceOf: SourceOf): ConfigProblem[] {
  return [openToOthers, journalOfNothing, journalBesideBroker, historyWithDjango, halfOfTls].flatMap(
    (check) => check(raw, sourceOf),
  )
}

/** A server that other machines can reach, with no keys, needs to be asked for. Looks at each value alone: others may be wrong. */
function openToOthers(raw: Raw, sourceOf: SourceOf): ConfigProblem[] {
  const { shape } = configSchema
  const host = shape.host.safeParse(raw.host)
  const apiKeys = shape.apiKeys.safeParse(raw.apiKeys)
  const insecure = shape.insecure.safeParse(raw.insecure)
  if (!host.success || !apiKeys.success || !insecure.success) return []
  if (isLoopback(host.data) || apiKeys.data.length > 0 || insecure.data) return []
  const source = sourceOf('host')
  const text =
    `host (${source}) is ${JSON.stringify(host.data)}, which other machines can reach, and there are no apiKeys: ` +
    'set apiKeys (variable GROUPCAST_API_KEYS, flag --api-key), or allow it with --insecure.'
  return [{ key: 'host', source, text }]
}

/** A journal that nothing would ever be written to: whoever asked for it believes that their history is kept. */
function journalOfNothing(raw: Raw, sourceOf: SourceOf): ConfigProblem[] {
  const { shape } = configSchema
  const journal = shape.journal.safeParse(raw.journal)
  const groups = shape.groups.safeParse(raw.groups)
  if (!journal.success || !groups.success || journal.data === false) return []
  if (groups.data.some(({ history }) => history !== false)) return []
  const source = sourceOf('journal')
  const text =
    `journal (${source}) is ${JSON.stringify(journal.data)}, and no group keeps a history to put into it: ` +
    'give a rule of groups one, such as {"match":"chat.*","history":{}}, or leave journal out.'
  return [{ key: 'journal', source, text }]
}

/** A broker keeps history itself: what is in the journal would never be read. */
function journalBesideBroker(raw: Raw, sourceOf: SourceOf): ConfigProblem[] {
  const { shape } = configSchema
  const journal = shape.journal.safeParse(raw.journal)
  const layer = shape.layer.safeParse(raw.layer)
  if (!journal.success || !layer.success || journal.data === false || layer.data === 'memory') return []
  const source = sourceOf('journal')
  const text =
    `journal (${source}) is ${JSON.stringify(journal.data)}, and layer (${sourceOf('layer')}) is a broker, which keeps history itself: ` +
    'leave journal out, or use the layer "memory".'
  return [{ key: 'journal', source, text }]
}

/** Django's layers have no history: clients would be promised what cannot be kept. */
function historyWithDjango(raw: Raw, sourceOf: SourceOf): ConfigProblem[] {
  const { shape } = configSchema
  const groups = shape.groups.safeParse(raw.groups)
  const layer = shape.layer.safeParse(raw.layer)
  if (!groups.success || !layer.success || layer.data === 'memory') return []
  if (parseLayerUrl(layer.data).driver !== 'django') return []
  const index = groups.data.findIndex(({ history }) => history !== false)
  if (index === -1) return []
  const source = sourceOf('groups')
  const text =
    `groups[${index}].history (${source}) is given, and layer (${sourceOf('layer')}) is Django's, which keeps none: ` +
    'leave history out, or use another layer.'
  return [{ key: 'groups', source, text }]
}

/** A certificate without its key, or the other way round: whoever gave one believes that the server speaks TLS. */
function halfOfTls(raw: Raw, sourceOf: SourceOf): ConfigProblem[] {
  const tls = configSchema.shape.tls.safeParse(raw.tls)
  if (!tls.success || (tls.data.cert === false) === (tls.data.key === false)) return []
  const [key, missing] = tls.data.key === false ? ['tls.cert', 'tls.key'] : ['tls.key', 'tls.cert']
  const source = sourceOf(key ?? '')
  return [
    { key: key ?? '', source, text: `${key} (${source}) is given and ${missing} is not: TLS needs both.` },
  ]
}

/** Keys that cannot be used, and rules about tokens that nobody could have. */
export function authProblems(config: Config, sourceOf: SourceOf): ConfigProblem[] {
  const source = AUTH_KEYS.map(sourceOf).find((from) => from !== 'default') ?? 'default'
  try {
    if (authenticateOf(config) !== null) return []
  } catch (error) {
    if (!(error instanceof MisuseError)) throw error
    return [{ key: 'auth', source, text: `auth (${source}) cannot be used: ${error.message}` }]
  }
  const rule = config.groups.find(({ join, send }) => isOfTokens(join) || isOfTokens(send))
  if (rule === undefined && source === 'default') return []
  const text =
    rule === undefined
      ? `auth (${source}) has no key to check tokens with: give auth.secret, auth.publicKey, auth.keys or auth.jwksUrl.`
      : `groups (${sourceOf('groups')}) has a rule for ${JSON.stringify(rule.match)} about tokens, and there is no key to check them with: give auth.secret, auth.publicKey, auth.keys or auth.jwksUrl.`
  return [
    {
      key: rule === undefined ? 'auth' : 'groups',
      source: rule === undefined ? source : sourceOf('groups'),
      text,
    },
  ]
}

const AUTH_KEYS = SETTINGS.map(({ key }) => key).filter((key) => key.startsWith('auth.'))

function isOfTokens(who: string): boolean {
  return who === 'authenticated' || who === 'token'
}
