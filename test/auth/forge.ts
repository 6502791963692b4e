/** Tokens made by hand, right and wrong, with nothing but node:crypto: what the hub checks them with is not asked. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export const SECRET = 'vR8mQ2xLp0aZk7WcT4bY9nHe3sJd6fGu'

export const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const ED = generateKeyPairSync('ed25519')

export const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString()

/** Seconds since 1970. */
export const now = (): number => Math.floor(Date.now() / 1000)

export const base64url = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

type Signer = (input: string) => Buffer

export const hs256 =
  (secret: string | Buffer = SECRET): Signer =>
  (input) =>
    createHmac('sha256', secret).update(input).digest()

export const SIGNERS = {
  HS256: hs256(),
  RS256: (input: string) => sign('sha256', Buffer.from(input), RSA.privateKey),
  ES256: (input: string) =>
    sign('sha256', Buffer.from(input), { key: EC.privateKey, dsaEncoding: 'ieee-p1363' }),
  EdDSA: (input: string) => sign(null, Buffer.from(input), ED.privateKey),
} as const satisfies Record<string, Signer>

/** What a good token says. */
export const claims = (more: object = {}): object => ({ sub: 'ann', iat: now(), exp: now() + 600, ...more })

/** A token with exactly this header and these claims (texts stay as they are), signed. */
export function forge(header: unknown, payload: unknown, signer: Signer = SIGNERS.HS256): string {
  const input = `${base64url(header)}.${base64url(payload)}`
  return `${input}.${signer(input).toString('base64url')}`
}

/** A good token, but for what is said otherwise. */
export function token(more: object = {}, header: object = {}): string {
  return forge({ alg: 'HS256', typ: 'JWT', ...header }, claims(more))
}
