import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { MisuseError } from '../../../src/errors.ts'
import { natsLayer } from '../../../src/layers/nats/index.ts'
import { type NatsLayerOptions, resolveOptions } from '../../../src/layers/nats/options.ts'

const wrong: readonly (readonly [option: string, value: unknown])[] = [
  ...['', 'a.b', 'a*', 'é', 'x'.repeat(65), 7, null].map((value) => ['prefix', value] as const),
  ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '100', null].flatMap((value) =>
    ['capacity', 'maxMessagesPerGroup', 'maxHistoryBytes', 'maxQueueBytes', 'replicas'].map(
      (name) => [name, value] as const,
    ),
  ),
  ...[-1, Number.NaN, Number.POSITIVE_INFINITY, '100', null].flatMap((value) =>
    ['expiryMs', 'maxHistoryAgeMs', 'timeoutMs', 'lingerMs'].map((name) => [name, value] as const),
  ),
  ['maxMessagesPerGroup', 100_001],
  ['replicas', 6],
  ['storage', 'disk'],
  ['connection', 'nats://a'],
  ['connection', null],
  ['clock', {}],
  ...[[], '', 'a:4222', 'http://a', 'nats://', 'nats://a/path', 'nats://a?x=1', 7, [7], null].map(
    (value) => ['servers', value] as const,
  ),
]

describe('options', () => {
  test.each(wrong)('%s: %j is refused with what is allowed', (option, value) => {
    const make = () => natsLayer({ [option]: value } as NatsLayerOptions)
    expect(make).toThrow(MisuseError)
    expect(make).toThrow(new RegExp(`^natsLayer has ${option}: .*: it must be `))
  })

  test('that there are not are refused by name', () => {
    expect(() => natsLayer({ server: 'nats://a' } as NatsLayerOptions)).toThrow(
      'natsLayer has no option "server"',
    )
  })

  test('a refusal shows no password', () => {
    expect(() => natsLayer({ servers: 'http://hub:secret@a' })).toThrow(/^(?!.*secret)/)
  })

  test('have documented defaults', () => {
    const docs = readFileSync(new URL('../../../docs/nats.md', import.meta.url), 'utf8')
    const rows = new Map(
      [...docs.matchAll(/^\| `(\w+)` +\| ([^|]*?) +\|/gm)].map(([, name, value]) => [name, value]),
    )
    const { servers, connection, clock, ...rest } = resolveOptions({})
    expect([...rows.keys()].sort()).toEqual(Object.keys({ servers, connection, clock, ...rest }).sort())
    for (const [name, value] of Object.entries(rest)) {
      const shown = rows
        .get(name)
        ?.replaceAll(/[ `']/g, '')
        .replace(/\(.*/, '')
        .replace('256MiB', `${2 ** 28}`)
      expect(shown, name).toBe(String(value))
    }
  })

  test('given as undefined are as if they were not given', () => {
    expect(resolveOptions({ prefix: undefined } as never)).toEqual(resolveOptions({}))
  })

  test('servers are addresses, with the credentials of their URLs beside them', () => {
    expect(resolveOptions({ servers: 'nats://a' })).toMatchObject({ servers: ['a:4222'], connection: {} })
    expect(resolveOptions({ servers: ['nats://u%40:p%3A@a:1', 'nats://u%40:p%3A@[::1]:2'] })).toMatchObject({
      servers: ['a:1', '[::1]:2'],
      connection: { user: 'u@', pass: 'p:' },
    })
    expect(resolveOptions({ servers: 'tls://token@a' })).toMatchObject({
      connection: { token: 'token', tls: {} },
    })
    expect(
      resolveOptions({ servers: 'nats://u:p@a', connection: { user: 'other', pass: 'x' } }),
    ).toMatchObject({
      connection: { user: 'other', pass: 'x' },
    })
  })
})
