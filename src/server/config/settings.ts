/** The schema as a list: each key with its variable and flag, for the loader, the command line and the docs. */
import type { z } from 'zod'
import { configSchema, groupRuleSchema } from './schema.ts'
import { settingInfo } from './setting.ts'

/** One key of the configuration. */
export interface Setting {
  /** As problems and docs write it: `port`, `limits.heartbeatMs`, `groups[].match`. */
  readonly key: string
  /** `GROUPCAST_LIMITS_HEARTBEAT_MS`. */
  readonly variable: string
  /** As commander writes it: `--port <number>`; `null` where there is none. */
  readonly flag: string | null
  /** What `--help` says of the flag. */
  readonly flagMeaning: string
  readonly kind: SettingKind
  /** The default; `undefined` for a key that must be given. */
  readonly fallback: unknown
  readonly description: string
  readonly isSecret: boolean
}

/** What a text from a variable or a flag is made into. */
export type SettingKind = 'text' | 'number' | 'boolean' | 'list' | 'json'

/** Every key that can be set by itself, in the schema's order. */
export const SETTINGS: readonly Setting[] = collect(configSchema, '')

/** The keys of one rule of `groups`. */
export const GROUP_RULE_SETTINGS: readonly Setting[] = collect(groupRuleSchema, 'groups[].')

/** The variable of a key: `maxBodyBytes` is `GROUPCAST_MAX_BODY_BYTES`. */
function variableOf(key: string): string {
  const words = key.replaceAll('.', '_').replace(/([a-z0-9])([A-Z])/g, '$1_$2')
  return `GROUPCAST_${words.toUpperCase()}`
}

function collect(schema: z.ZodObject, prefix: string): Setting[] {
  return Object.entries(schema.shape).flatMap(([name, value]) => {
    const key = prefix + name
    const schema = value as z.ZodType
    const inner = unwrap(schema)
    const object = objectIn(inner)
    if (object === null) return [setting(key, schema)]
    // Where it may be something else too, it is a setting by itself.
    const itself = inner.def.type === 'object' ? [] : [setting(key, schema)]
    return [...itself, ...collect(object, `${key}.`)]
  })
}

function setting(key: string, schema: z.ZodType): Setting {
  const info = settingInfo.get(schema)
  const description = schema.description ?? ''
  return {
    key,
    variable: variableOf(key),
    flag: info?.flag ?? null,
    flagMeaning: info?.flagMeaning ?? description,
    kind: kindOf(unwrap(schema)),
    fallback: schema.def.type === 'default' ? (schema as z.ZodDefault).def.defaultValue : undefined,
    description,
    isSecret: info?.isSecret ?? false,
  }
}

/** The schema inside its defaults. */
export function unwrap(schema: z.ZodType): z.ZodType {
  const { type } = schema.def
  return type === 'default' || type === 'prefault'
    ? unwrap((schema as z.ZodDefault | z.ZodPrefault).def.innerType as z.ZodType)
    : schema
}

/** The object that a value may be, or `null`. */
export function objectIn(schema: z.ZodType): z.ZodObject | null {
  if (schema.def.type === 'object') return schema as z.ZodObject
  if (schema.def.type !== 'union') return null
  const options = (schema as z.ZodUnion).options as readonly z.ZodType[]
  return (options.find((option) => option.def.type === 'object') as z.ZodObject | undefined) ?? null
}

function kindOf(schema: z.ZodType): SettingKind {
  switch (schema.def.type) {
    case 'number':
    // The unions that a variable can set are a number or `false`.
    case 'union':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'array':
      return unwrap((schema as z.ZodArray).element as z.ZodType).def.type === 'object' ? 'json' : 'list'
    default:
      return 'text'
  }
}
