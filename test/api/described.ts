/** Holds real answers against the OpenAPI description. */
import type { ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { expect } from 'vitest'
import type { Answer } from './api-server.ts'

interface Response {
  readonly content?: Readonly<Record<string, { readonly schema: unknown }>>
}

interface Operation {
  readonly tags: readonly string[]
  readonly responses: Readonly<Record<string, Response>>
}

/** An OpenAPI document, as far as tests look into it. */
export interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

/** What may be said at any path, whether something is served there or not. */
const ANYWHERE = new Set(['not-found', 'method-not-allowed', 'forbidden', 'origin-not-allowed'])

const PROBLEM = 'application/problem+json'
const REF = '#/components/schemas/'

/** One API's description, and which parts of it were seen in real answers. */
export class Described {
  readonly document: Description
  /** `POST /api/publish 200 ok`, `POST /api/publish 400 invalid-json` */
  readonly seen = new Set<string>()
  readonly #ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true })
  readonly #validators = new Map<string, ValidateFunction>()

  constructor(document: Description) {
    this.document = document
    // Its types say that the function is the module, and at run time it is.
    ;(addFormats as unknown as (ajv: Ajv2020) => void)(this.#ajv)
  }

  /** Every operation, status and error code of the API's own routes. */
  get all(): Set<string> {
    const all = new Set<string>()
    for (const [path, operations] of Object.entries(this.document.paths)) {
      for (const [method, { tags, responses }] of Object.entries(operations)) {
        if (tags.includes('streams')) continue
        for (const [status, response] of Object.entries(responses)) {
          const name = `${method.toUpperCase()} ${path} ${status}`
          for (const code of codesOf(response)) all.add(`${name} ${code}`)
        }
      }
    }
    return all
  }

  /** Fails unless the description says that this answer may come. */
  expect(answer: Answer): void {
    const { method, status, headers } = answer
    const path = this.#pathOf(answer.path)
    const operation = this.#operationOf(method, path)
    if (operation === null) {
      if (method !== 'OPTIONS' || status !== 204) this.#expectAnywhere(answer)
      return
    }
    const name = `${method === 'HEAD' ? 'GET' : method} ${path} ${status}`
    const content = operation.responses[status]?.content
    expect(content, `${name} is not described`).toBeDefined()
    const mediaType = String(headers['content-type']).split(';')[0] ?? ''
    const described = content?.[mediaType]
    expect(described, `${name} ${mediaType}`).toBeDefined()
    if (method === 'HEAD') {
      expect(answer.text).toBe('')
      return
    }
    const value = mediaType.endsWith('json') ? answer.json() : answer.text
    this.#expectValid(described?.schema, value, name)
    this.seen.add(`${name} ${mediaType === PROBLEM ? (value as { code: string }).code : 'ok'}`)
  }

  #expectAnywhere(answer: Answer): void {
    expect(answer.headers['content-type']).toBe(PROBLEM)
    if (answer.method === 'HEAD') return
    const problem = answer.json() as { code: string; status: number }
    this.#expectValid({ $ref: `${REF}Problem` }, problem, `${answer.method} ${answer.path}`)
    expect(problem.status).toBe(answer.status)
    expect(ANYWHERE, `${answer.method} ${answer.path}`).toContain(problem.code)
  }

  #expectValid(schema: unknown, value: unknown, what: string): void {
    const key = JSON.stringify(schema)
    let validate = this.#validators.get(key)
    if (validate === undefined) {
      validate = this.#compile({ ...(schema as object), $defs: this.document.components.schemas })
      this.#validators.set(key, validate)
    }
    validate(value)
    expect(validate.errors ?? [], `${what}: ${JSON.stringify(value)?.slice(0, 300)}`).toEqual([])
  }

  /** A schema by itself, with what it refers to inside. */
  #compile(schema: object): ValidateFunction {
    const text = JSON.stringify(schema).replaceAll(`"$ref":"${REF}`, '"$ref":"#/$defs/')
    return this.#ajv.compile(JSON.parse(text) as object)
  }

  #pathOf(url: string): string | null {
    const parts = (url.split('?')[0] ?? '').split('/')
    const fits = (template: string): boolean => {
      const wanted = template.split('/')
      if (wanted.length !== parts.length) return false
      return wanted.every((part, i) => (part.startsWith('{') ? parts[i] !== '' : part === parts[i]))
    }
    const paths = Object.keys(this.document.paths)
    return paths.find((path) => path === parts.join('/')) ?? paths.find(fits) ?? null
  }

  #operationOf(method: string, path: string | null): Operation | null {
    const operations = path === null ? undefined : this.document.paths[path]
    return operations?.[(method === 'HEAD' ? 'GET' : method).toLowerCase()] ?? null
  }
}

/** The codes that a response lists, or `ok`. */
function codesOf(response: Response): readonly string[] {
  const schema = response.content?.[PROBLEM]?.schema as
    | { allOf: readonly [unknown, { properties: { code: { enum: readonly string[] } } }] }
    | undefined
  return schema?.allOf[1].properties.code.enum ?? ['ok']
}
