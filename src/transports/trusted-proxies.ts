/** Whose word is taken for a client's address: the proxies in front of the server. */
import { BlockList, isIP } from 'node:net'
import { MisuseError } from '../errors.ts'
import { quote } from '../names.ts'

const ALLOWED = 'an IP address, or a network such as "10.0.0.0/8"'

/** Whether a text is an address or a network. */
export function isAddressOrNetwork(text: unknown): text is string {
  if (typeof text !== 'string') return false
  const [address = '', bits, ...more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || more.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
}

/** Of so many addresses it is known whether they are in a list: to find out costs as much as the rest of a refused handshake (bench: soak). */
const MOST_KNOWN = 1_000

/** Addresses and networks, to be looked in. */
export class AddressList {
  readonly #list = new BlockList()
  readonly #known = new Map<string, boolean>()

  /** @param entries that {@link isAddressOrNetwork} lets pass */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      const [address = '', bits] = entry.split('/')
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
      this.#list.addSubnet(
        address,
        bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits),
        family,
      )
    }
  }

  /** Whether an address is among them; of IPv4 also in the mapped form. What is no address is not. */
  has(address: string): boolean {
    const known = this.#known.get(address)
    if (known !== undefined) return known
    const isIn = this.#find(address)
    if (this.#known.size >= MOST_KNOWN) this.#known.clear()
    this.#known.set(address, isIn)
    return isIn
  }

  #find(address: string): boolean {
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
    const version = isIP(plain)
    return version !== 0 && this.#list.check(plain, version === 6 ? 'ipv6' : 'ipv4')
  }
}

/**
 * Finds a client's address behind proxies. A proxy appends the address that it sees to `X-Forwarded-For`; what stands before may have been
 * sent by the client itself. So the list is read from its end, for as long as those who speak are trusted.
 */
export class TrustedProxies {
  /** Nobody is trusted: the address is the socket's. */
  readonly isNone: boolean
  readonly #list: AddressList

  /**
   * @param proxies addresses and networks
   * @throws {MisuseError} `invalid-option` for what is none
   */
  constructor(proxies: readonly string[] = []) {
    if (!Array.isArray(proxies)) {
      throw new MisuseError(
        'invalid-option',
        `trustedProxies is ${quote(proxies)}: it must be a list, each entry ${ALLOWED}.`,
      )
    }
    this.isNone = proxies.length === 0
    for (const proxy of proxies) {
      if (!isAddressOrNetwork(proxy)) {
        throw new MisuseError(
          'invalid-option',
          `trustedProxies has ${quote(proxy)}: each entry must be ${ALLOWED}.`,
        )
      }
    }
    this.#list = new AddressList(proxies)
  }

  /**
   * @param peer address of the socket's other end
   * @param forwardedFor the header `X-Forwarded-For`
   */
  clientOf(peer: string, forwardedFor: string | undefined): string {
    if (this.isNone || forwardedFor === undefined || !this.#list.has(peer)) return peer
    let client = peer
    for (const part of forwardedFor.split(',').reverse()) {
      const address = plainAddress(part.trim())
      // Nobody knows what a proxy meant that wrote no address: what is known is who is nearest.
      if (isIP(address) === 0) return client
      client = address
      if (!this.#list.has(address)) return client
    }
    return client
  }
}

/** Without the port that some proxies add, and the brackets of IPv6. */
function plainAddress(text: string): string {
  if (isIP(text) !== 0) return text
  const [, bracketed, plain] = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+))(?::\d{1,5})?$/i.exec(text) ?? []
  return bracketed ?? plain ?? text
}
