/** Reading request bodies: what they say they are, and their JSON. */
import { isUtf8 } from 'node:buffer'
import { GroupcastError, Refusal } from '../errors.ts'
import { parseJson } from '../json.ts'
import { quote } from '../names.ts'
import { isTransferCoding, OTHER_CODING } from '../transfer-coding.ts'
import { asBuffer, ByteCollector } from './bytes.ts'
import type { ApiRequest, RequestBody } from './contract.ts'

/** Media types that routes take. */
export type BodyType = 'application/json' | 'application/x-ndjson'

// `application/problem+json` and the like are JSON too (RFC 6839).
const JSON_TYPE = /^application\/(?:json|[a-z0-9!#$&^_.-]+\+json)$/

/**
 * The media type of a request's body, without its parameters. None is as wrong as a wrong one: the JSON types are those for which a
 * browser asks permission (preflight) before it lets a page of another origin send them.
 *
 * @throws {Refusal} `unsupported-media-type`
 */
export function bodyType(request: ApiRequest, accepted: readonly BodyType[]): BodyType {
  const given = request.header('content-type')
  const coding = request.header('content-encoding')
  if (coding !== undefined && coding.toLowerCase() !== 'identity') {
    throw new Refusal(
      'unsupported-media-type',
      `Send the body without the Content-Encoding ${quote(coding)}.`,
    )
  }
  if (!isTransferCoding(request.header('transfer-encoding'))) throw new Refusal('bad-request', OTHER_CODING)
  // What nearly all send, before the parsing that allows for the rest.
  if (given === 'application/json') return given
  const type = given?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const found = accepted.find((one) => one === type) ?? (JSON_TYPE.test(type) ? 'application/json' : null)
  if (found !== null && accepted.includes(found)) return found
  const sent =
    given === undefined ? 'This body has no Content-Type' : `This body has the Content-Type ${quote(given)}`
  throw new Refusal('unsupported-media-type', `${sent}: send ${accepted.join(' or ')}.`)
}

/** What bounds a body that is read as a whole. */
export interface BodyBounds {
  readonly maxBodyBytes: number
  readonly maxJsonDepth: number
  readonly bodyTimeoutMs: number
}

/**
 * The body of a request as the JSON it holds.
 *
 * @throws {GroupcastError} `message-too-large`, `invalid-json`, `json-too-deep`, `body-timeout`
 * @throws {ClientGone}
 */
export async function readJson(
  request: ApiRequest,
  { maxBodyBytes, maxJsonDepth, bodyTimeoutMs }: BodyBounds,
): Promise<unknown> {
  const bytes = asBuffer(await inTime(collect(request.body, maxBodyBytes), bodyTimeoutMs))
  if (!isUtf8(bytes)) throw new GroupcastError('invalid-json', NOT_UTF8)
  return parseJson(bytes.toString(), maxJsonDepth)
}

/** What comes too late is not waited for: whoever answers then closes the connection. */
function inTime<T>(work: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Refusal('body-timeout')), ms)
    timer.unref()
    // Without `finally`, which makes two promises more (bench: http-publish).
    work.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}

/** The text for bytes that cannot be JSON. */
export const NOT_UTF8 = 'The text is not valid UTF-8.'

/** The error for a body, or a line of one, that is too long. */
export function tooLarge(what: 'body' | 'line', maxBytes: number): GroupcastError {
  return new GroupcastError('message-too-large', `The ${what} is larger than ${maxBytes} bytes.`)
}

function collect(body: RequestBody, maxBytes: number): Promise<Uint8Array> {
  return body.collect === undefined ? collectByIterating(body, maxBytes) : body.collect(maxBytes)
}

async function collectByIterating(body: RequestBody, maxBytes: number): Promise<Uint8Array> {
  const bytes = new ByteCollector()
  for await (const chunk of body) {
    if (bytes.length + chunk.length > maxBytes) throw tooLarge('body', maxBytes)
    bytes.add(chunk)
  }
  return bytes.take()
}
