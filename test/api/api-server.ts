/** The API of a fake hub on a real server, and a client that can send what browsers would not. */
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { onTestFinished } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import type { Api, ApiOptions } from '../../src/api/contract.ts'
import type { ErrorContext } from '../../src/hub/hub-api.ts'
import { serverKind, type TestServer } from '../support/servers.ts'
import { Described, type Description } from './described.ts'
import { FakeHub } from './fake-hub.ts'

/** A complete answer. */
export interface Answer {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  json(): unknown
}

export interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** Objects are sent as JSON, with its Content-Type unless `headers` has one. */
  readonly body?: string | Buffer | object
}

export interface TestApi {
  readonly hub: FakeHub
  readonly server: TestServer
  readonly port: number
  readonly errors: { readonly error: unknown; readonly context: ErrorContext }[]
  readonly described: Described
  /** Sends a request; fails unless its answer is described. */
  send(method: string, path: string, options?: SendOptions): Promise<Answer>
}

/** Starts an API; it ends with the test. */
export async function startTestApi(options: Partial<ApiOptions> = {}): Promise<TestApi> {
  const api = await openTestApi(options)
  onTestFinished(() => api.server.stop())
  return api
}

/** Like {@link startTestApi}, for a whole file: its server is to be stopped. */
export async function openTestApi(options: Partial<ApiOptions> = {}): Promise<TestApi> {
  const hub = new FakeHub()
  const errors: { error: unknown; context: ErrorContext }[] = []
  const onError = (error: unknown, context: ErrorContext) => errors.push({ error, context })
  const { server, port } = await openServer(createApi(hub, { version: '1.2.3', onError, ...options }))
  // The description is asked for by the name that the server may have to go by.
  const [host = '127.0.0.1'] = options.allowedHosts ?? []
  const openapi = await exchange(port, 'GET', '/api/openapi.json', { headers: { Host: host } })
  const described = new Described(openapi.json() as Description)
  described.expect(openapi)
  return {
    hub,
    server,
    port,
    errors,
    described,
    async send(method, path, sendOptions) {
      const answer = await exchange(port, method, path, sendOptions)
      described.expect(answer)
      return answer
    },
  }
}

/** Serves any API; it ends with the test. */
export async function serveApi(api: Api): Promise<{ readonly server: TestServer; readonly port: number }> {
  const served = await openServer(api)
  onTestFinished(() => served.server.stop())
  return served
}

async function openServer(api: Api) {
  const server = serverKind.createApi(api)
  const { port } = new URL(await server.listen())
  return { server, port: Number(port) }
}

/** A POST whose body begins and does not go on, and its answer. */
export function begin(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
  part: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method: 'POST', path, headers, agent: false }
    const request = httpRequest(options, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response
        request.destroy()
        resolve({ method: 'POST', path, status, headers, text, json: () => JSON.parse(text) as unknown })
      })
    })
    request.on('error', reject)
    request.write(part)
  })
}

/** One request and its whole answer, held against nothing. */
export function exchange(
  port: number,
  method: string,
  path: string,
  { headers = {}, body }: SendOptions = {},
): Promise<Answer> {
  const isJson = body !== undefined && typeof body === 'object' && !Buffer.isBuffer(body)
  const payload = isJson ? JSON.stringify(body) : body
  const type = isJson ? { 'Content-Type': 'application/json' } : {}
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, method, path, headers: { ...type, ...headers }, agent: false },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const { statusCode: status = 0, headers } = response
          resolve({ method, path, status, headers, text, json: () => JSON.parse(text) as unknown })
        })
      },
    )
    request.on('error', reject)
    request.end(payload)
  })
}
