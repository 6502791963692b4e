/** The hook `authenticate` that a configuration asks for. */
import { type TokenKey, tokens } from '../../auth/index.ts'
import { MisuseError } from '../../errors.ts'
import type { Authenticate } from '../../identity.ts'
import type { Config } from './schema.ts'

/**
 * @returns `null` where the configuration has no key to check tokens with
 * @throws {MisuseError} `invalid-option` for keys that cannot be used; no text shows a secret
 */
export function authenticateOf({ auth }: Pick<Config, 'auth'>): Authenticate | null {
  const { secret, publicKey, keys, jwksUrl } = auth
  const ways = [secret !== false || publicKey !== false, keys.length > 0, jwksUrl !== false]
  const given = ways.filter((way) => way).length
  if (given === 0) return null
  if (given > 1) {
    const text = 'give one of secret or publicKey (one key), keys (several) and jwksUrl.'
    throw new MisuseError('invalid-option', text)
  }
  const { issuer, audience, maxLifetimeSeconds, leewaySeconds, cookie, query, required } = auth
  return tokens({
    ...keysOf(auth),
    ...(issuer.length > 0 && { issuer }),
    ...(audience.length > 0 && { audience }),
    maxLifetimeSeconds,
    leewaySeconds,
    cookie,
    query,
    required,
  })
}

function keysOf({ algorithm, secret, publicKey, keys, jwksUrl, algorithms }: Config['auth']) {
  if (jwksUrl !== false) return { jwksUrl, algorithms }
  if (keys.length > 0) return { keys: keys as readonly TokenKey[] }
  return {
    key: {
      algorithm,
      ...(secret !== false && { secret }),
      ...(publicKey !== false && { publicKey }),
    },
  }
}
