import type { Registry } from 'prom-client'
import { MisuseError } from '../errors.ts'
import { quote } from '../names.ts'
import { assertOrigins } from '../origin.ts'
import type { ApiOptions } from './contract.ts'
import { assertKeys } from './keys.ts'

/** {@link ApiOptions} with the defaults filled in. */
export interface ResolvedOptions extends Readonly<Required<Omit<ApiOptions, 'registry'>>> {
  readonly registry: Registry | null
}

const DEFAULTS = Object.freeze({
  apiKeys: [],
  allowedOrigins: [],
  allowedHosts: null,
  maxBodyBytes: 1024 * 1024,
  maxGroupsPerPublish: 1024,
  registry: null,
  eventsPath: '/events',
} satisfies Omit<ResolvedOptions, 'version' | 'onError'>)

/**
 * Fills in the defaults and checks each option.
 *
 * @throws {MisuseError} (code `invalid-option`) naming the option and what is allowed
 */
export function resolveOptions(given: ApiOptions): ResolvedOptions {
  const options: ResolvedOptions = Object.freeze({ ...DEFAULTS, ...withoutUndefined(given) })
  for (const name of ['maxBodyBytes', 'maxGroupsPerPublish'] as const) {
    const value = options[name]
    if (Number.isSafeInteger(value) && value >= 1) continue
    throw new MisuseError(
      'invalid-option',
      `${name} is ${quote(value)}: it must be a whole number of at least 1.`,
    )
  }
  assertKeys(options.apiKeys)
  assertOrigins(options.allowedOrigins)
  return options
}

/** With `exactOptionalPropertyTypes` off at the caller, `undefined` can still arrive and must not hide a default. */
function withoutUndefined(options: ApiOptions): ApiOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as ApiOptions
}
