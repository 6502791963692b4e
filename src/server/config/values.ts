/** The kinds of values that several keys of the configuration, or the elements of its lists, are made of. */
import { isIP } from 'node:net'
import { z } from 'zod'
import { KEY_SCOPES } from '../../api/keys.ts'
import { MAX_NAME_LENGTH } from '../../names.ts'
import { isAddressOrNetwork } from '../../transports/trusted-proxies.ts'
import { settingInfo } from './setting.ts'

/** The largest number: Node's timers fire at once for anything longer than 31 bits, and no buffer is larger. */
const MOST = 2 ** 31 - 1

/** A whole number, both ends included. */
export function whole(least: number, most: number = MOST) {
  return z.int().min(least).max(most)
}

/** The words for {@link whole}. */
export function wholeText(least: number, most: number = MOST): string {
  return `a whole number from ${least} to ${most}`
}

/** One of a few words, as a list of them reads in a sentence: `"a", "b" or "c"`. */
export function oneOf(words: readonly string[]): string {
  const quoted = words.map((word) => JSON.stringify(word))
  const last = quoted.pop() ?? ''
  return quoted.length === 0 ? last : `${quoted.join(', ')} or ${last}`
}

// A name whose last label is a number would be read as an address by some resolvers and as a name by others.
const HOST_NAME = /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*(?!\d+$)[a-z0-9_-]{1,63}$/i

/** What a socket can listen on. */
export const listenHost = z.string().refine((host) => isIP(host) !== 0 || HOST_NAME.test(host), {
  error: (issue) =>
    /^\[.*\]$/.test(String(issue.input))
      ? 'write an IPv6 address without brackets.'
      : 'it must be an IP address or a host name.',
})

/** A host as it stands in a URL: a name in lower case, an IPv4 address, or an IPv6 address in brackets. */
export const urlHost = z
  .string()
  .refine((host) => host !== '' && hostOfUrl(`http://${host}`) === host, {
    error: (issue) => {
      const host = hostOfUrl(`http://${issue.input}`) ?? hostOfUrl(`http://[${issue.input}]`)
      return host === null ? 'it must be a host name without a port.' : `write ${JSON.stringify(host)}.`
    },
  })
  .register(settingInfo, { allowed: 'a host name without a port' })

function hostOfUrl(url: string): string | null {
  return URL.canParse(url) ? new URL(url).hostname : null
}

/** An origin of web pages, or `*` for all. */
export const origin = z
  .string()
  .refine((text) => text === '*' || exactOrigin(text) === text, {
    error: (issue) => {
      const exact = exactOrigin(String(issue.input))
      if (exact !== null) return `write ${JSON.stringify(exact)}, as browsers send it.`
      return 'it must be an origin such as "https://app.example" (scheme, host and port exactly), or "*" for any page.'
    },
  })
  .register(settingInfo, { allowed: 'an origin such as "https://app.example", or "*" for any page' })

// Scheme, host and perhaps a port, as the hub's own check of origins wants it, and without stars that look like patterns.
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/(?:\[[0-9a-f:.]+\]|[^\s,:/?#@*\\[\]]+)(?::\d{1,5})?$/i

/** The origin as a browser would send it, or `null` for what is none. */
function exactOrigin(text: string): string | null {
  // Pages inside apps have origins of their own schemes, such as `capacitor://localhost`, which `URL` calls "null".
  const isAppScheme = !/^(?:https?|wss?|file|ftp):/i.test(text)
  if (isAppScheme) return ORIGIN.test(text) ? text.toLowerCase() : null
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return null
  const { origin, username, password } = new URL(text)
  return ORIGIN.test(origin) && username === '' && password === '' ? origin : null
}

const SEGMENTS = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)+$/
const TAKEN = /^\/(?:api|health|ready|metrics|playground)(?:\/|$)/

/** The path of the event streams. */
export const eventsPath = z.string().refine((path) => SEGMENTS.test(path) && !TAKEN.test(path), {
  error: (issue) =>
    TAKEN.test(String(issue.input))
      ? 'the server has other routes there; choose another path, such as "/events".'
      : 'it must start with "/" and have no "/" at the end, segments of A-Z a-z 0-9 . _ ~ -, such as "/events".',
})

// Names as `names.ts` allows them, and the star.
const GLOB = new RegExp(`^[A-Za-z0-9._~:@#$/*-]{1,${MAX_NAME_LENGTH}}$`)

/** A pattern of group names. */
export const groupPattern = z.string().regex(GLOB)

/** A directory that need not be there yet. No path has a NUL in it; other control characters are slips. */
export const directory = z.string().regex(/^\P{Cc}+$/u)

/** A file; relative to the working directory. */
export const file = z.string().regex(/^\P{Cc}+$/u)

/** A proxy, or a network of them. */
export const proxy = z
  .string()
  .refine(isAddressOrNetwork, { error: 'it must be an IP address, or a network such as "10.0.0.0/8".' })
  .register(settingInfo, { allowed: 'an IP address, or a network such as "10.0.0.0/8"' })

const API_KEY = /^[\x21-\x7e]{16,}$/

/** A key for `Authorization: Bearer`: long enough not to be guessed, and nothing that a header cannot carry. */
export const apiKey = z
  .union([
    z.string().regex(API_KEY),
    z.strictObject({
      key: z
        .string()
        .regex(API_KEY)
        .register(settingInfo, { allowed: 'at least 16 visible ASCII characters without spaces' }),
      scopes: z
        .array(z.enum(KEY_SCOPES).register(settingInfo, { allowed: oneOf(KEY_SCOPES) }))
        .min(1)
        .register(settingInfo, { allowed: `a list of at least one of ${oneOf(KEY_SCOPES)}` }),
      groups: z
        .array(groupPattern.register(settingInfo, { allowed: 'a pattern such as "chat.*"' }))
        .min(1)
        .default(['*'])
        .register(settingInfo, { allowed: 'a list of at least one pattern such as "chat.*"' }),
    }),
  ])
  .register(settingInfo, {
    allowed: 'at least 16 visible ASCII characters without spaces, or an object with key, scopes and groups',
    isSecret: true,
  })
