import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import type { ApiOptions } from '../../src/api/contract.ts'
import { assertClose } from '../../src/hub/close-code.ts'
import { isChannelName, isGroupName } from '../../src/names.ts'
import { hostileStrings } from '../hostile-strings.ts'
import { exchange, startTestApi } from './api-server.ts'
import type { Description } from './described.ts'

interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly schema: { readonly pattern?: string }
}

/** What tests of the description look at beyond what others do. */
interface Whole extends Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>
}

type Described = Description['paths'][string][string] & {
  readonly operationId: string
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> }
}

async function describedWith(options: Partial<ApiOptions> = {}): Promise<Whole> {
  const { port } = await startTestApi(options)
  return (await exchange(port, 'GET', '/api/openapi.json')).json() as Whole
}

test.each<Partial<ApiOptions>>([{}, { apiKeys: ['key'] }, { eventsPath: '/live' }, { eventsPath: null }])(
  'is valid OpenAPI 3.1 with %j',
  async (options) => {
    const document = await describedWith(options)
    const validator = new Validator()
    const result = await validator.validate({ ...structuredClone(document) })
    expect(result.errors ?? []).toEqual([])
    expect([result.valid, validator.version]).toEqual([true, '3.1'])
    const { eventsPath = '/events' } = options
    expect(
      Object.keys(document.paths).filter((path) => !/^\/(api\/|health|ready|metrics)/.test(path)),
    ).toEqual(eventsPath === null ? [] : [eventsPath])
  },
)

test('names each call once, and refers to nothing that is not there', async () => {
  const document = await describedWith({ apiKeys: ['key'] })
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path))
  const ids = operations.map(({ operationId }) => operationId)
  expect(new Set(ids).size).toBe(ids.length)
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(
    ([, id]) => id,
  )
  expect(new Set(refs)).toEqual(new Set(Object.keys(document.components.schemas)))
  expect(JSON.stringify(document)).not.toContain('$defs')
})

test('each parameter of a path is described as required', async () => {
  const { paths } = await describedWith()
  for (const [path, operations] of Object.entries(paths)) {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
    for (const { parameters = [] } of Object.values(operations)) {
      const described = parameters.filter((parameter) => parameter.in === 'path')
      expect(described.map(({ name, required }) => [name, required])).toEqual(
        names.map((name) => [name, true]),
      )
    }
  }
})

describe('says the same as the code', () => {
  const part = fc.constantFrom(
    'a',
    'Z',
    '9',
    '.',
    '_',
    '~',
    ':',
    '@',
    '#',
    '$',
    '/',
    '-',
    '!',
    ' ',
    'é',
    '\n',
    '%',
    '[',
  )
  const name = fc.oneof(
    fc.array(part).map((parts) => parts.join('')),
    fc.integer({ min: 250, max: 260 }).map((n) => 'x'.repeat(n)),
    fc.integer({ min: 250, max: 260 }).map((n) => `x!${'y'.repeat(n - 2)}`),
    fc.string(),
    fc.constantFrom(...hostileStrings),
  )

  test('about names', async () => {
    const { components } = await describedWith()
    const ajv = new Ajv2020()
    const isGroup = ajv.compile(components.schemas.GroupName ?? false)
    const isChannel = ajv.compile(components.schemas.ChannelName ?? false)
    fc.assert(
      fc.property(name, (text) => {
        expect(isGroup(text)).toBe(isGroupName(text))
        expect(isChannel(text)).toBe(isChannelName(text))
      }),
      { numRuns: 1000 },
    )
  })

  test('about close codes', async () => {
    const { paths } = await describedWith()
    const { parameters = [] } = paths['/api/connections/{id}']?.delete ?? {}
    const pattern = new RegExp(
      parameters.find((parameter) => parameter.name === 'code')?.schema.pattern ?? '',
    )
    const isAllowed = (code: number): boolean => {
      try {
        assertClose(code, '')
        return true
      } catch {
        return false
      }
    }
    const differing = Array.from({ length: 10_000 }, (_, code) => code).filter(
      (code) => pattern.test(String(code)) !== isAllowed(code),
    )
    expect(differing).toEqual([])
  })

  test('about the groups of one publish', async () => {
    const { paths } = await describedWith({ maxGroupsPerPublish: 7 })
    const { content } = paths['/api/publish']?.post?.requestBody ?? { content: {} }
    expect(content['application/json']?.schema).toMatchObject({ properties: { groups: { maxItems: 7 } } })
    expect(content['application/x-ndjson']?.schema).toMatchObject({
      'x-line': { properties: { groups: { maxItems: 7 } } },
    })
    const { send } = await startTestApi({ maxGroupsPerPublish: 7 })
    for (const [count, status] of [
      [7, 200],
      [8, 400],
    ]) {
      const body = { groups: Array(count).fill('a'), message: { type: 'x' } }
      expect((await send('POST', '/api/publish', { body })).status).toBe(status)
    }
  })
})

test('a registry of the application gets the metrics of the hub, and no others', async () => {
  const { Registry } = await import('prom-client')
  const registry = new Registry()
  const { send } = await startTestApi({ registry })
  expect(await registry.metrics()).toContain('groupcast_connections_opened_total 10')
  expect((await send('GET', '/metrics')).text).not.toContain('process_cpu')
  expect(() => createApi({} as never, { version: '1', onError() {}, registry })).toThrow()
})
