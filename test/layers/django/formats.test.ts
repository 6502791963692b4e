import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { jsonFormat, msgpackFormat } from '../../../src/layers/django/formats.ts'
import { readJson } from '../../../src/layers/django/json-source.ts'
import { MsgpackSink } from '../../../src/layers/django/msgpack-sink.ts'
import { hostileStrings } from '../../hostile-strings.ts'

const vectors = JSON.parse(readFileSync(new URL('channels-vectors.json', import.meta.url), 'utf8')) as {
  msgpack: { value: unknown; hex: string }[]
}

const pack = (json: string) => msgpackFormat.encode(json).toString('hex')
const unpack = (hex: string) => msgpackFormat.decode(Buffer.from(hex, 'hex')).json

/** JSON with what JavaScript does not write: `$bigint` as digits, and -0.0. */
const textOf = (value: unknown) =>
  JSON.stringify(value, (_, one) => (Object.is(one, -0) ? { $bigint: '-0.0' } : one)).replace(
    /\{"\$bigint":"([-.\d]+)"\}/g,
    '$1',
  )

/** Writes any value, also one that is no message. */
function anyHex(json: string): string {
  const sink = new MsgpackSink()
  readJson(json, sink)
  return sink.bytes.toString('hex')
}

describe('the bytes that channels_redis writes', () => {
  const carriable = vectors.msgpack.filter(({ value }) => !JSON.stringify(value).includes('$bytes'))

  test.each(carriable)('%j', ({ value, hex }) => {
    expect(anyHex(textOf(value))).toBe(hex)
  })

  test.each(vectors.msgpack.filter(({ value }) => 'type' in (value as object)))(
    'read: %j',
    ({ value, hex }) => {
      const base64 = (_: string, given: unknown) => {
        const bytes = (given as { $bytes?: string } | null)?.$bytes
        return bytes === undefined ? given : Buffer.from(bytes, 'hex').toString('base64')
      }
      expect(JSON.parse(unpack(hex))).toEqual(JSON.parse(textOf(value), base64))
    },
  )

  test('whole numbers keep their digits where a number of JavaScript would not', () => {
    const json = '{"type":"x","least":-9223372036854775808,"most":18446744073709551615,"id":9007199254740993}'
    expect(unpack(pack(json))).toBe(json)
  })

  test('numbers with a fraction stay so, and whole ones whole', () => {
    const json = '{"type":"x","a":1,"b":1.0,"c":1e+21,"d":-0.0}'
    expect(unpack(pack(json))).toBe(json)
  })
})

describe('whom a message is for', () => {
  test.each([
    ['msgpack', msgpackFormat],
    ['json', jsonFormat],
  ])('%s: it is added, found and taken out', (_, format) => {
    const json = '{"type":"x","n":1}'
    const encoded = format.encode(json)
    for (const addressees of ['a!b', ['a!b'], ['a!b', 'a!c']]) {
      const { channels, ...rest } = format.decode(format.address(encoded, addressees))
      expect(channels).toEqual([addressees].flat())
      expect(rest).toEqual({ json, type: 'x' })
    }
    expect(format.decode(encoded).channels).toBe(null)
  })

  test('the bytes are those of a group_send of channels_redis to two channels of one process', () => {
    const encoded = msgpackFormat.encode('{"type":"chat.message","message":"hi","n":1}')
    const channel = 'a'.repeat(74)
    const hex = msgpackFormat.address(encoded, [channel, channel]).toString('hex')
    const text = `d94a${Buffer.from(channel).toString('hex')}`
    expect(hex).toBe(
      `84a474797065ac636861742e6d657373616765a76d657373616765a26869a16e01b05f5f617367695f6368616e6e656c5f5f92${text}${text}`,
    )
  })

  test.each([1, 14, 15, 16, 65534, 65535, 65536])('a message of %i keys gets one more', (count) => {
    const keys = Array.from({ length: count - 1 }, (_, n) => `"k${n}":${n}`)
    const json = `{${['"type":"x"', ...keys].join(',')}}`
    const addressed = msgpackFormat.address(msgpackFormat.encode(json), ['a!b'])
    expect(msgpackFormat.decode(addressed)).toEqual({ json, type: 'x', channels: ['a!b'] })
  })
})

const message = fc
  .dictionary(
    fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('__proto__', 'constructor', 'type')),
    fc.jsonValue(),
  )
  .map((fields) => JSON.stringify({ ...fields, type: 'x' }))

test.each([
  ['msgpack', msgpackFormat],
  ['json', jsonFormat],
])('%s: any message comes back equal, or is refused for its numbers', (_, format) => {
  fc.assert(
    fc.property(message, (json) => {
      let encoded: Buffer
      try {
        encoded = format.encode(json)
      } catch (error) {
        expect(String(error)).toMatch(/beyond 64 bits|surrogate/)
        return
      }
      expect(JSON.parse(format.decode(encoded).json)).toEqual(JSON.parse(json))
    }),
    { numRuns: 500 },
  )
})

test.each(hostileStrings)('hostile text %j arrives, or is refused', (text) => {
  const json = JSON.stringify({ type: 'x', text, [text]: 1 })
  if (!text.isWellFormed()) return expect(() => msgpackFormat.encode(json)).toThrow(/surrogate/)
  for (const format of [msgpackFormat, jsonFormat])
    expect(JSON.parse(format.decode(format.encode(json)).json)).toEqual(JSON.parse(json))
})

describe('what would end a consumer of Django is refused', () => {
  test.each([
    ['{"text":"x"}', /"type"/],
    ['{"type":7}', /"type"/],
    ['{"type":{"type":"x"}}', /"type"/],
    ['{"type":["x"]}', /"type"/],
    ['{"type":""}', /"type"/],
    ['{"type":"x","type":null}', /"type"/],
    ['{"type":"_x"}', /starts with "_"/],
    ['{"type":".x"}', /starts with "\."/],
    ['[]', /not a map/],
    ['"x"', /not a map/],
    ['{"type":"x","__asgi_channel__":"a!b"}', /reserved/],
    ['{"type":"x","__asgi_channel__":["a!b"]}', /reserved/],
    ['{"type":"x","__asgi_channel__":{}}', /__asgi_channel__/],
    ['{"type":"x","a":"\\ud800"}', /surrogate/],
    ['{"type":"x","\\udc00":1}', /surrogate/],
    ['{"type":"x","a":1e999}', /too large/],
    [`{"type":"x","a":${'['.repeat(511)}${']'.repeat(511)}}`, /deeper/],
    ['{"type":"x"', /not JSON/],
    ['{"type":"x"}}', /not JSON/],
    ['{"type":"x",}', /not JSON/],
    ['{"type":"x\n"}', /not JSON/],
    ['{"type":"x","a":01}', /not JSON/],
    ['', /not JSON/],
  ])('%s', (json, why) => {
    for (const format of [msgpackFormat, jsonFormat]) expect(() => format.encode(json)).toThrow(why)
  })

  test.each([
    '18446744073709551616',
    '-9223372036854775809',
    '100000000000000000000',
    '-99999999999999999999',
  ])('the whole number %s, which msgpack cannot carry', (digits) => {
    expect(() => msgpackFormat.encode(`{"type":"x","a":${digits}}`)).toThrow(/64 bits/)
    // Python's json can.
    const json = `{"type":"x","a":${digits}}`
    expect(jsonFormat.decode(jsonFormat.encode(json)).json).toBe(json)
  })

  // Python's json raises for a whole number of 4301 digits, and the consumer ended: JSON was taken to carry any.
  test.each(['', '-'])('%sa whole number of more digits than Python reads, in JSON', (sign) => {
    const jsonOf = (count: number) => `{"type":"x","a":${sign}${'9'.repeat(count)}}`
    expect(() => jsonFormat.encode(jsonOf(4301))).toThrow(/4300 digits/)
    expect(jsonFormat.encode(jsonOf(4300)).toString()).toBe(jsonOf(4300))
  })

  test('the key of the core protocol is an ordinary one further down', () => {
    const json = '{"type":"x","a":{"__asgi_channel__":"b","type":null},"b":[{"__asgi_channel__":1}]}'
    for (const format of [msgpackFormat, jsonFormat])
      expect(format.decode(format.encode(json)).json).toBe(json)
  })
})

describe('what cannot be read is refused', () => {
  test.each([
    ['', /too early/],
    ['81', /too early/],
    ['81a474797065', /too early/],
    ['81a474797065a178c0', /behind its end/],
    ['c1', /0xc1/],
    ['82a474797065a178a161d6ff00000000', /extension/],
    ['82a474797065a17801a161', /key/],
    ['82a474797065a178c40161a161', /key/],
    ['82a474797065a178a161a1ff', /UTF-8/],
    ['82a474797065a178a161a3eda080', /UTF-8/],
    ['c0', /not a map/],
    ['01', /not a map/],
    ['9101', /not a map/],
    ['a178', /not a map/],
    ['80', /"type"/],
    ['81a47479706501', /"type"/],
    ['81a474797065a0', /"type"/],
    ['dfffffffff', /too early/],
    ['81a474797065ddffffffff', /too early/],
    [`82a474797065a178a161${'91'.repeat(600)}c0`, /deeper/],
    [`82a474797065a178b0${Buffer.from('__asgi_channel__').toString('hex')}01`, /__asgi_channel__/],
    [`82a474797065a178b0${Buffer.from('__asgi_channel__').toString('hex')}9101`, /__asgi_channel__/],
    [`82a474797065a178b0${Buffer.from('__asgi_channel__').toString('hex')}9191a161`, /__asgi_channel__/],
  ])('msgpack %s', (hex, why) => {
    expect(() => unpack(hex)).toThrow(why)
  })

  test('any bytes are read or refused, and end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          JSON.parse(msgpackFormat.decode(Buffer.from(bytes)).json)
        } catch (error) {
          expect((error as Error).name).toBe('UncarriableError')
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('a message cut at any byte is refused', () => {
    const whole = msgpackFormat.encode('{"type":"x","a":[1,300,70000,-1,-200,1.5,null,true,"é",{"b":"c"}]}')
    for (let end = 0; end < whole.length; end++)
      expect(() => msgpackFormat.decode(whole.subarray(0, end))).toThrow(/too early/)
  })

  test('JSON that is no UTF-8', () => {
    expect(() => jsonFormat.decode(Buffer.from([0x22, 0xff, 0x22]))).toThrow(/UTF-8/)
  })
})

describe('what JSON has no word for', () => {
  test('bytes become a text in base64', () => {
    expect(unpack('82a474797065a178a162c403fffe00')).toBe('{"type":"x","b":"//4A"}')
  })

  test('NaN and infinities become null', () => {
    expect(unpack('82a474797065a178a166cb7ff8000000000000')).toBe('{"type":"x","f":null}')
    expect(unpack('82a474797065a178a166ca7f800000')).toBe('{"type":"x","f":null}')
    const python = Buffer.from('{"type": "x", "a": NaN, "b": [-Infinity, Infinity]}')
    expect(jsonFormat.decode(python).json).toBe('{"type":"x","a":null,"b":[null,null]}')
  })

  test('numbers of 32 bits are numbers', () => {
    expect(unpack('82a474797065a178a166ca3fc00000')).toBe('{"type":"x","f":1.5}')
  })
})
