/** Addresses of this machine that a load connects from, as they are given on the command line. */
import { isIP, isIPv4 } from 'node:net'
import { InvalidArgumentError } from 'commander'

/** A network of more addresses than these is a mistake: each has ports for 28,000 clients. */
const MOST_ADDRESSES = 1024

/**
 * Adds what is given once to what was given before: an address, or all that hosts may have of an IPv4 network, `10.0.0.16/28`.
 *
 * @throws {InvalidArgumentError} for anything else
 */
export function collectAddresses(text: string, given: readonly string[] = []): string[] {
  const found = isIP(text) === 0 ? hostsOf(text) : [text]
  if (found === null) {
    throw new InvalidArgumentError(
      `Give an address such as 10.0.0.5, or an IPv4 network of up to ${MOST_ADDRESSES} addresses such as 10.0.0.16/28.`,
    )
  }
  return [...new Set([...given, ...found])]
}

function hostsOf(text: string): string[] | null {
  const [, address = '', bits = ''] = /^(.+)\/(\d{1,2})$/.exec(text) ?? []
  const count = 2 ** (32 - Number(bits))
  if (!isIPv4(address) || Number(bits) > 32 || count > MOST_ADDRESSES) return null
  const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const first = value - (value % count)
  const all = Array.from({ length: count }, (_, i) => dotted(first + i))
  // The first is the network itself, the last everybody in it; networks of two have neither (RFC 3021).
  return count > 2 ? all.slice(1, -1) : all
}

function dotted(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')
}
