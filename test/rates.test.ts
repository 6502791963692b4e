/** The options `rates`, and what an address is counted as. */
import fc from 'fast-check'
import { createHub, DEFAULT_RATES } from 'groupcast'
import { describe, expect, test } from 'vitest'
import { networkOf, RATE_NAMES, REFUSED_FOR, rateOf, resolveRates } from '../src/rates.ts'

describe('options', () => {
  test('all defaults are finite, and each rate can be switched off by itself', () => {
    for (const name of RATE_NAMES) {
      const rate = rateOf(DEFAULT_RATES, name)
      expect(rate?.perSecond, name).toBeGreaterThan(0)
      expect(rate?.burst, name).toBeGreaterThanOrEqual(rate?.perSecond ?? Number.POSITIVE_INFINITY)
      expect(rateOf(resolveRates({ [name]: false }), name)).toBeNull()
    }
    expect(DEFAULT_RATES.connectionsPerAddress).toBeGreaterThan(0)
    expect(resolveRates({ connectionsPerAddress: false }).connectionsPerAddress).toBe(false)
  })

  test('`false` switches all off', () => {
    const rates = resolveRates(false)
    for (const name of REFUSED_FOR) expect(Reflect.get(rates, name), name).toBe(false)
    expect(createHub({ rates: false }).rates).toEqual(rates)
  })

  test('a connection may join with as many groups as it may be in, and an identity do so at once from many', () => {
    expect(DEFAULT_RATES.joinsPerConnectionBurst).toBeGreaterThanOrEqual(128)
    expect(DEFAULT_RATES.joinsPerIdentityBurst).toBeGreaterThanOrEqual(10 * 128)
  })

  test.each<[string, unknown, RegExp]>([
    ['messagesPerConnection', 0, /rates\.messagesPerConnection is 0: .* or false/],
    ['messagesPerConnection', 1.5, /1\.5/],
    ['messagesPerConnection', Number.POSITIVE_INFINITY, /Infinity/],
    ['messagesPerConnectionBurst', false, /messagesPerConnectionBurst is false/],
    ['maxTracked', false, /maxTracked/],
    ['exemptAddresses', ['10.0.0.0/99'], /exemptAddresses/],
    ['exemptAddresses', '10.0.0.1', /exemptAddresses/],
    ['messages', 5, /no option "messages"/],
  ])('%s: %j is refused', (name, value, text) => {
    expect(() => createHub({ rates: { [name]: value } })).toThrow(text)
  })

  test('rates that are no object are refused', () => {
    expect(() => createHub({ rates: true as never })).toThrow('rates')
  })
})

describe('networks', () => {
  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['::FFFF:cb00:7109', '203.0.113.9'],
    ['0:0:0:0:0:ffff:203.0.113.9', '203.0.113.9'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8::', '2001:db8:0:0::/64'],
    ['2001:0DB8:0000:0000:ffff:ffff:ffff:ffff', '2001:db8:0:0::/64'],
    ['2001:db8:0:1::1', '2001:db8:0:1::/64'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['::1', '0:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['1:2:3:4:5:6:7::', '1:2:3:4::/64'],
  ])('%s is counted as %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })

  test('however an address of IPv6 is written, and whatever its second half, it is the same network', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const network = networkOf(address)
        if (!network.includes(':')) return
        const written = new URL(`http://[${address}]`).hostname.slice(1, -1)
        expect(networkOf(written)).toBe(network)
        expect(networkOf(`${network.replace('::/64', '')}:1:2:3:4`)).toBe(network)
      }),
    )
  })
})
