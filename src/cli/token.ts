/** `groupcast token`: makes a token for development, signed with the secret of the configuration. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { signToken } from '../auth/index.ts'
import { errorCodeOf } from '../errors.ts'
import type { GroupClaims } from '../permission.ts'
import type { Config } from '../server/config/schema.ts'
import { addConfigFlags, configOf } from './config-flags.ts'
import { EXIT, Failure } from './failure.ts'
import { endWithReader, print } from './output.ts'

interface TokenFlags {
  readonly join?: readonly string[]
  readonly send?: readonly string[]
  readonly history?: readonly string[]
  readonly expires: number
}

/** Adds the command to the program. */
export function addToken(program: Command): void {
  const command = program
    .command('token')
    .description(
      'Make a token for development with auth.secret of the configuration; takes the flags of serve.',
    )
    .argument('<subject>', 'Whose it is: the id of the identity.')
    .addOption(patternsOption('join', 'Groups that it lets its bearer join; a pattern such as chat.*.'))
    .addOption(patternsOption('send', 'Groups that it lets its bearer send to.'))
    .addOption(patternsOption('history', 'Groups whose history it gives; else those to join.'))
    .option('--expires <seconds>', 'How long it is good for.', wholeSeconds, 3_600)
  addConfigFlags(command)
  command.action(async (subject: string, flags: TokenFlags) => {
    endWithReader()
    await print(await make(subject, flags, configOf(command)))
  })
}

function patternsOption(name: string, meaning: string): Option {
  const collect = (value: string, values: string[] | undefined) => [...(values ?? []), value]
  return new Option(`--${name} <pattern>`, `${meaning} Repeatable.`).argParser(collect)
}

function wholeSeconds(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number of seconds.')
}

/** @throws {Failure} wrong usage */
async function make(subject: string, flags: TokenFlags, { auth }: Config): Promise<string> {
  const { secret, kid } = signingKey(auth)
  const [issuer] = auth.issuer
  const [audience] = auth.audience
  const groups = groupsOf(flags)
  if (flags.expires > auth.maxLifetimeSeconds) {
    const most = auth.maxLifetimeSeconds
    throw usage(
      `--expires is ${flags.expires}, and the server takes ${most} at most (auth.maxLifetimeSeconds).`,
    )
  }
  try {
    return await signToken(secret, {
      subject,
      expiresInSeconds: flags.expires,
      ...(groups !== null && { groups }),
      ...(issuer !== undefined && { issuer }),
      ...(audience !== undefined && { audience }),
      ...(kid !== null && { kid }),
    })
  } catch (error) {
    if (errorCodeOf(error) === null) throw error
    throw usage((error as Error).message)
  }
}

/** The newest of the secrets: the last of several. */
function signingKey({ secret, algorithm, keys }: Config['auth']): { secret: string; kid: string | null } {
  if (secret !== false && algorithm === 'HS256') return { secret, kid: null }
  const last = keys.findLast((key) => key.algorithm === 'HS256' && key.secret !== undefined)
  if (last?.secret !== undefined) return { secret: last.secret, kid: last.kid }
  throw usage(
    'there is no secret to sign with: set auth.secret in the configuration (variable GROUPCAST_AUTH_SECRET). Tokens of other algorithms are made by whoever has the private key.',
  )
}

/** `null`: it says nothing of groups. */
function groupsOf({ join, send, history }: TokenFlags): GroupClaims | null {
  if (join === undefined && send === undefined && history === undefined) return null
  return {
    ...(join !== undefined && { join }),
    ...(send !== undefined && { send }),
    ...(history !== undefined && { history }),
  }
}

function usage(text: string): Failure {
  return new Failure(EXIT.usage, [text])
}
