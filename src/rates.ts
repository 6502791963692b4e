/** What clients may spend in a second, by connection, identity and address. Each is an option with a finite default. */
import { MisuseError } from './errors.ts'
import { quote } from './names.ts'
import { assertKnownOptions, invalidLimit, isLimit } from './options.ts'
import type { Rate } from './rate-table.ts'
import { isAddressOrNetwork } from './transports/trusted-proxies.ts'

/** The rates: each so many a second, after a burst. `false` switches one off. */
export const RATE_NAMES = [
  'messagesPerConnection',
  'bytesPerConnection',
  'joinsPerConnection',
  'framesPerConnection',
  'messagesPerIdentity',
  'bytesPerIdentity',
  'joinsPerIdentity',
  'handshakesPerAddress',
  'failedAuthenticationsPerAddress',
  'postsPerAddress',
] as const
export type RateName = (typeof RATE_NAMES)[number]

/** What a client can be refused for, as metrics name it. */
export const REFUSED_FOR = [...RATE_NAMES, 'connectionsPerAddress'] as const
export type RefusedFor = (typeof REFUSED_FOR)[number]

/**
 * Each rate is a number for a second, or `false`; its `…Burst` is how much may come at once before that counts. Bytes are those of messages.
 * What is counted by address is that of networks (/64) for IPv6.
 */
export interface Rates extends Readonly<Record<RateName, number | false>> {
  /** Messages and commands of one connection. */
  readonly messagesPerConnection: number | false
  readonly messagesPerConnectionBurst: number
  /** Bytes of the messages of one connection. */
  readonly bytesPerConnection: number | false
  readonly bytesPerConnectionBurst: number
  /** Joins that one connection asks for. */
  readonly joinsPerConnection: number | false
  readonly joinsPerConnectionBurst: number
  /** Pings, unasked pongs and, where the server back end sees them, reads from the socket. */
  readonly framesPerConnection: number | false
  readonly framesPerConnectionBurst: number
  /** The same for all connections of one identity, on one node. */
  readonly messagesPerIdentity: number | false
  readonly messagesPerIdentityBurst: number
  readonly bytesPerIdentity: number | false
  readonly bytesPerIdentityBurst: number
  readonly joinsPerIdentity: number | false
  readonly joinsPerIdentityBurst: number
  /** Attempts to connect from one address. */
  readonly handshakesPerAddress: number | false
  readonly handshakesPerAddressBurst: number
  /** Attempts to authenticate that failed; beyond it nobody from there is asked who it is. */
  readonly failedAuthenticationsPerAddress: number | false
  readonly failedAuthenticationsPerAddressBurst: number
  /** Posted messages for connections that are not on this node. */
  readonly postsPerAddress: number | false
  readonly postsPerAddressBurst: number
  /** Connections of one address at a time. */
  readonly connectionsPerAddress: number | false
  /** Addresses and networks that are not counted by address. */
  readonly exemptAddresses: readonly string[]
  /** Most identities, and most addresses, of which each rate is remembered; beyond it those that owe least are forgotten. */
  readonly maxTracked: number
}

const MIB = 1024 * 1024

export const DEFAULT_RATES: Rates = Object.freeze({
  messagesPerConnection: 250,
  messagesPerConnectionBurst: 1_000,
  bytesPerConnection: MIB,
  bytesPerConnectionBurst: 8 * MIB,
  joinsPerConnection: 20,
  joinsPerConnectionBurst: 256,
  framesPerConnection: 1_000,
  framesPerConnectionBurst: 10_000,
  messagesPerIdentity: 1_000,
  messagesPerIdentityBurst: 4_000,
  bytesPerIdentity: 4 * MIB,
  bytesPerIdentityBurst: 32 * MIB,
  joinsPerIdentity: 100,
  joinsPerIdentityBurst: 2_048,
  handshakesPerAddress: 100,
  handshakesPerAddressBurst: 1_000,
  failedAuthenticationsPerAddress: 5,
  failedAuthenticationsPerAddressBurst: 100,
  postsPerAddress: 500,
  postsPerAddressBurst: 2_000,
  connectionsPerAddress: 2_000,
  exemptAddresses: Object.freeze(['127.0.0.0/8', '::1']),
  maxTracked: 50_000,
})

/** What can be switched off is what a client can be refused for. */
const SWITCHABLE: readonly string[] = REFUSED_FOR

const NO_RATES: Partial<Rates> = Object.fromEntries(SWITCHABLE.map((name) => [name, false]))

/**
 * Fills in the defaults and checks each rate.
 *
 * @param given `false`: no rate at all
 * @throws {MisuseError} `invalid-option` naming the rate, the value and what is allowed
 */
export function resolveRates(given: Partial<Rates> | false = {}): Rates {
  const rates: Record<string, unknown> = { ...DEFAULT_RATES }
  const wanted = given === false ? NO_RATES : given
  assertKnownOptions('rates', wanted, Object.keys(DEFAULT_RATES))
  for (const [name, value] of Object.entries(wanted)) {
    if (value === undefined) continue
    rates[name] = name === 'exemptAddresses' ? checkedAddresses(value) : checkedNumber(name, value)
  }
  return Object.freeze(rates) as unknown as Rates
}

/** One of the rates; `null` where it is switched off. */
export function rateOf(rates: Rates, name: RateName): Rate | null {
  const perSecond = rates[name]
  return perSecond === false ? null : { perSecond, burst: rates[`${name}Burst`] }
}

function checkedNumber(name: string, value: unknown): unknown {
  const maySwitchOff = SWITCHABLE.includes(name)
  if (isLimit(value) || (maySwitchOff && value === false)) return value
  throw invalidLimit(`rates.${name}`, value, maySwitchOff ? ', or false' : '')
}

function checkedAddresses(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every(isAddressOrNetwork)) return Object.freeze([...value])
  throw new MisuseError(
    'invalid-option',
    `rates.exemptAddresses is ${quote(value)}: it must be a list of addresses and networks such as "10.0.0.0/8".`,
  )
}

/**
 * What an address is counted as: itself, or of IPv6 the first 64 bits, since whoever has one of these addresses has them all. The mapped form
 * of an IPv4 address is that address.
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const groups = groupsOf(address)
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)
  if (!isMapped)
    return `${groups
      .slice(0, 4)
      .map((group) => group.toString(16))
      .join(':')}::/64`
  const [high = 0, low = 0] = groups.slice(6)
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  // The zone of a link-local address is after a percent sign; an IPv4 address at the end stands for two groups.
  const [plain = ''] = address.split('%')
  const hex = plain.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    return `${(Number(a) * 256 + Number(b)).toString(16)}:${(Number(c) * 256 + Number(d)).toString(16)}`
  })
  const [before = [], after = []] = hex
    .split('::')
    .map((part) => part.split(':').flatMap((group) => (group === '' ? [] : [Number.parseInt(group, 16)])))
  const zeros = Math.max(0, 8 - before.length - after.length)
  return [...before, ...Array.from({ length: zeros }, () => 0), ...after]
}
