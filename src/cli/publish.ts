/** `groupcast publish`: sends one message to a group over the HTTP API. */
import { text as readText } from 'node:stream/consumers'
import type { Command } from 'commander'
import { messageProblem } from '../message.ts'
import { badName, isGroupName } from '../names.ts'
import { EXIT, Failure } from './failure.ts'
import {
  ANSWER_TIMEOUT_MS,
  authorization,
  DEFAULT_URL,
  networkFault,
  parseServerUrl,
  refusalOf,
  urlOf,
} from './http.ts'
import { endWithReader, print } from './output.ts'

interface PublishOptions {
  readonly url: URL
  readonly apiKey?: string
}

/** Adds the command to the program. */
export function addPublish(program: Command): void {
  program
    .command('publish')
    .description('Send a message to a group; prints the answer as one line of JSON.')
    .argument('<group>', 'Name of the group.')
    .argument('<json>', 'The message: a JSON object with a string "type"; - reads it from stdin.')
    .option('--url <url>', 'Where the server is.', parseServerUrl, new URL(DEFAULT_URL))
    .option(
      '--api-key <key>',
      'API key; other users can see flags, so prefer the variable GROUPCAST_API_KEY.',
    )
    .action(async (group: string, json: string, options: PublishOptions) => {
      endWithReader()
      await print(await publish(group, json, options))
    })
}

/** @throws {Failure} wrong usage, before anything is sent; or what went wrong with the request */
async function publish(group: string, json: string, { url, apiKey }: PublishOptions): Promise<string> {
  const target = urlOf(url, `/api/groups/${encodeGroup(group)}/messages`)
  const headers = {
    'content-type': 'application/json',
    ...authorization('API key', apiKey ?? process.env.GROUPCAST_API_KEY),
  }
  const body = json === '-' ? await readText(process.stdin) : json
  checkMessage(body)
  const response = await post(target, headers, body)
  if (!response.ok) {
    const { text } = await refusalOf({
      status: response.status,
      location: response.headers.get('location'),
      body: response.body,
    })
    throw new Failure(EXIT.failed, [text])
  }
  return oneJson(await response.text().catch((error) => fail(error, target)), target)
}

function encodeGroup(group: string): string {
  if (!isGroupName(group)) throw new Failure(EXIT.usage, [badName('group', group)])
  if (group === '.' || group === '..') {
    throw new Failure(EXIT.usage, [
      `a group named "${group}" cannot stand in a URL: send to it with POST /api/publish.`,
    ])
  }
  return encodeURIComponent(group)
}

function checkMessage(json: string): void {
  let message: unknown
  try {
    message = JSON.parse(json)
  } catch {
    throw new Failure(EXIT.usage, [
      'the message is not valid JSON: give one such as \'{"type":"chat.message","text":"hi"}\', in quotes for the shell.',
    ])
  }
  const problem = messageProblem(message)
  if (problem !== null) throw new Failure(EXIT.usage, [problem])
}

async function post(url: URL, headers: Record<string, string>, body: string): Promise<Response> {
  const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
  try {
    return await fetch(url, { method: 'POST', headers, body, signal, redirect: 'manual' })
  } catch (error) {
    return fail(error, url)
  }
}

function fail(error: unknown, url: URL): never {
  throw new Failure(EXIT.failed, [networkFault(error, url).text])
}

function oneJson(text: string, { origin }: URL): string {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    throw new Failure(EXIT.failed, [`what ${origin} answers is not JSON: is it a groupcast server?`])
  }
}
