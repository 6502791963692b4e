/** Names, hosts, encryption and times, as channels_redis has them on the wire. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Envelope } from '../../../src/layers/django/envelope.ts'
import { Fernet } from '../../../src/layers/django/fernet.ts'
import {
  assertDjangoChannel,
  assertDjangoGroup,
  nodeChannel,
  nodeOf,
  nonLocalName,
} from '../../../src/layers/django/names.ts'
import { ScoreClock } from '../../../src/layers/django/score-clock.ts'
import { shardOf } from '../../../src/layers/django/shards.ts'

const vectors = JSON.parse(readFileSync(new URL('channels-vectors.json', import.meta.url), 'utf8')) as {
  consistent_hash: { value: string; shards: Record<string, number> }[]
  names_python: { name: string; channel: boolean; group: boolean }[]
  fernet: { user_key: string; iv: string; timestamp: number; plaintext: string; token: string }
}

describe('hosts', () => {
  test.each(vectors.consistent_hash)(
    '$value is on the host that channels_redis says',
    ({ value, shards }) => {
      for (const [hosts, shard] of Object.entries(shards)) expect(shardOf(value, Number(hosts))).toBe(shard)
    },
  )
})

describe('names', () => {
  // Python's \d and \w know more than ASCII, and its $ matches before a last line feed: the specification says ASCII.
  const OURS_ALONE = new Set(['a\n', 'a\u0663', 'a!\u00e9'])

  test.each(vectors.names_python)('$name: channel $channel, group $group', ({ name, channel, group }) => {
    for (const [assertName, python] of [
      [assertDjangoChannel, channel],
      [assertDjangoGroup, group],
    ] as const) {
      if (python && !OURS_ALONE.has(name)) assertName(name)
      else expect(() => assertName(name)).toThrow(expect.objectContaining({ code: 'invalid-name' }))
    }
  })

  test('a bad name is a TypeError that says what is allowed', () => {
    expect(() => assertDjangoGroup('a:b')).toThrow(TypeError)
    expect(() => assertDjangoGroup('a:b')).toThrow(
      /"a:b" is not a group name of Django Channels: use 1–99 characters/,
    )
  })

  test('a channel of a node is one of Django, and names its node', () => {
    const channel = nodeChannel('0123456789ab', 'V1StGXR8_Z5jdHi6B-myT')
    assertDjangoChannel(channel)
    expect(nodeOf(channel)).toBe('0123456789ab')
    expect(nonLocalName(channel)).toBe('groupcast.0123456789ab!')
    for (const other of ['groupcast.0123456789ab', 'specific.0123456789ab!x', 'jobs'])
      expect(nodeOf(other)).toBe(null)
  })
})

describe('encryption', () => {
  const { user_key, iv, timestamp, plaintext, token } = vectors.fernet
  const plain = Buffer.from(plaintext, 'hex')
  const now = timestamp * 1000
  const fernet = new Fernet([user_key])

  test('a token is the one that Python makes', () => {
    expect(fernet.encrypt(plain, { now, iv: Buffer.from(iv, 'hex') }).toString()).toBe(token)
    expect(fernet.decrypt(Buffer.from(token), null)).toEqual(plain)
  })

  test('the first key encrypts, and all decrypt', () => {
    const rotated = new Fernet(['new', user_key])
    expect(rotated.decrypt(Buffer.from(token), null)).toEqual(plain)
    expect(new Fernet(['new']).decrypt(rotated.encrypt(plain), null)).toEqual(plain)
    expect(() => fernet.decrypt(rotated.encrypt(plain), null)).toThrow(/another key/)
  })

  test('a token lives as long as its ttl, and is not of the future', () => {
    const decrypt = (ttl: number | null, seconds: number) => () =>
      fernet.decrypt(Buffer.from(token), ttl, now + seconds * 1000)
    for (const seconds of [-60, 0, 70]) expect(decrypt(70, seconds)()).toEqual(plain)
    expect(decrypt(70, 71)).toThrow(/too long ago/)
    expect(decrypt(70, -61)).toThrow(/future/)
    for (const seconds of [-1e6, 1e6]) expect(decrypt(null, seconds)()).toEqual(plain)
  })

  test('what was changed, cut, or never encrypted is refused', () => {
    for (let at = 0; at < token.length; at++) {
      const changed = Buffer.from(token)
      changed[at] = changed[at] === 0x41 ? 0x42 : 0x41
      // The last characters hold bits that decode to nothing.
      let result: Buffer | null = null
      try {
        result = fernet.decrypt(changed, null)
      } catch (error) {
        expect((error as Error).name).toBe('UncarriableError')
      }
      if (result !== null) expect(result).toEqual(plain)
      expect(() => fernet.decrypt(Buffer.from(token.slice(0, at)), null)).toThrow(/not encrypted|another key/)
    }
    expect(() => fernet.decrypt(plain, null)).toThrow(/not encrypted/)
    expect(() => fernet.decrypt(Buffer.from('é'.repeat(200)), null)).toThrow(/not encrypted/)
  })
})

describe('the envelope', () => {
  test('random bytes keep equal messages apart, and are taken off again', () => {
    const envelope = new Envelope({ fernet: null, ttlSeconds: null, prefixBytes: 12 })
    const body = Buffer.from('body')
    const sealed = Array.from({ length: 1000 }, () => envelope.seal(body))
    expect(new Set(sealed.map((one) => one.toString('hex'))).size).toBe(1000)
    for (const one of sealed) {
      expect(one).toHaveLength(16)
      expect(envelope.open(one)).toEqual(body)
    }
    expect(() => envelope.open(Buffer.alloc(11))).toThrow(/too short/)
  })

  test('the random bytes are outside the encryption', () => {
    const fernet = new Fernet(['a-test-key'])
    const envelope = new Envelope({ fernet, ttlSeconds: 70, prefixBytes: 12 })
    const sealed = envelope.seal(Buffer.from('body'))
    expect(fernet.decrypt(sealed.subarray(12), 70)).toEqual(Buffer.from('body'))
    expect(envelope.open(sealed)).toEqual(Buffer.from('body'))
  })

  test('plain text where encryption is expected is refused, and the reverse is no message', () => {
    const sealed = new Envelope({ fernet: null, ttlSeconds: null, prefixBytes: 0 }).seal(Buffer.from('body'))
    const encrypted = new Envelope({ fernet: new Fernet(['k']), ttlSeconds: null, prefixBytes: 0 })
    expect(() => encrypted.open(sealed)).toThrow(/not encrypted/)
  })
})

describe('the time of a message', () => {
  test('grows with each call while the clock stands still, jumps, and goes back', () => {
    const base = 1_795_359_164_258
    const readings = [base, base, base, base + 1, base + 1, base - 3_600_000, base - 3_600_000, base + 5000]
    let at = 0
    const clock = new ScoreClock(() => readings[Math.min(at++, readings.length - 1)] as number)
    let last = 0
    for (let n = 0; n < 10_000; n++) {
      const score = clock.next()
      expect(score).toBeGreaterThan(last)
      // What travels is its decimal text.
      expect(Number(String(score))).toBe(score)
      last = score
    }
    expect(last).toBeLessThan(base / 1000 + 5.1)
  })

  test('is the time of day in seconds', () => {
    expect(new ScoreClock(() => 1_795_359_164_258).next()).toBe(1_795_359_164.258)
  })
})
