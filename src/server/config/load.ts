/** Loads the server's configuration: flags before variables before the file before the defaults. */
import { resolve } from 'node:path'
import { authProblems, crossProblems } from './cross-checks.ts'
import { filesIn, type NamedFile, readConfigFile } from './file.ts'
import { type ConfigProblem, problemsOf } from './problems.ts'
import { type Config, configSchema } from './schema.ts'
import { SETTINGS } from './settings.ts'
import { type Environment, type Flags, fromFlags, fromVariables, type Given } from './variables.ts'

/** Where to look. */
export interface ConfigInputs {
  readonly flags: Flags
  readonly env: Environment
  /** The directory that is searched for a file, and that names of files are relative to. */
  readonly cwd: string
}

/** A configuration, or everything that is wrong with it. */
export type LoadedConfig =
  | {
      readonly ok: true
      readonly config: Config
      /** Where each setting came from, by key: `flag --port`, `variable …`, `file …` or `default`. */
      readonly source: ReadonlyMap<string, string>
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] }

/**
 * Loads and checks the configuration. Reads at most one file; never throws.
 *
 * @example
 * const loaded = loadConfig({ flags: { port: '9000' }, env: process.env, cwd: process.cwd() })
 * if (!loaded.ok) for (const { text } of loaded.problems) console.error(text)
 */
export function loadConfig({ flags, env, cwd }: ConfigInputs): LoadedConfig {
  const variables = fromVariables(env)
  const file = loadFile(flags, env, cwd)
  const given = new Map([...variables.given, ...fromFlags(flags)])
  const raw = merge(file.values, given)
  const sourceOf = (key: string): string => given.get(key)?.source ?? fileSource(key, file) ?? 'default'

  const parsed = configSchema.safeParse(raw)
  const problems = [
    ...file.problems,
    ...(parsed.success ? [] : problemsOf(parsed.error.issues, raw, sourceOf)),
    ...variables.problems,
    ...crossProblems(raw, sourceOf),
    ...(parsed.success ? authProblems(parsed.data, sourceOf) : []),
  ]
  if (!parsed.success || problems.length > 0) return { ok: false, problems }
  const source = new Map(SETTINGS.map(({ key }) => [key, sourceOf(key)]))
  return { ok: true, config: deepFreeze(parsed.data), source }
}

interface LoadedFile {
  /** `null`: there is none. */
  readonly name: string | null
  readonly values: Readonly<Record<string, unknown>>
  readonly problems: readonly ConfigProblem[]
}

function loadFile(flags: Flags, env: Environment, cwd: string): LoadedFile {
  const named = namedFile(flags, env, cwd)
  const found = named === null ? filesIn(cwd) : [named]
  const [file, ...others] = found
  if (file === undefined) return { name: null, values: {}, problems: [] }
  if (others.length > 0) {
    const names = found.map(({ name }) => name).join(' and ')
    return failed(file, `${names} are both in ${cwd}: keep one, or name one with --config.`)
  }
  const result = readConfigFile(file)
  return result.ok ? { name: file.name, values: result.values, problems: [] } : failed(file, result.text)
}

function namedFile(flags: Flags, env: Environment, cwd: string): NamedFile | null {
  const flag = flags.config
  const name = flag ?? env.GROUPCAST_CONFIG
  if (typeof name !== 'string') return null
  return { name, path: resolve(cwd, name), namedBy: flag === undefined ? 'GROUPCAST_CONFIG' : '--config' }
}

function failed({ name }: NamedFile, text: string): LoadedFile {
  return { name, values: {}, problems: [{ key: null, source: `file ${name}`, text }] }
}

function fileSource(key: string, { name, values }: LoadedFile): string | null {
  if (name === null) return null
  const [head = '', tail] = key.split('.')
  const value = Object.hasOwn(values, head) ? values[head] : undefined
  const isThere = tail === undefined ? value !== undefined : isRecord(value) && Object.hasOwn(value, tail)
  return isThere ? `file ${name}` : null
}

/** The file's values, and the given ones over them. Spreading keeps a key `__proto__` an ordinary key. */
function merge(values: Readonly<Record<string, unknown>>, given: ReadonlyMap<string, Given>) {
  const raw: Record<string, unknown> = { ...values }
  for (const [key, { value }] of given) {
    const [head = '', tail] = key.split('.')
    const group = Object.hasOwn(raw, head) ? raw[head] : {}
    if (tail === undefined) raw[head] = value
    // Anything but an object stays, for the schema to refuse.
    else if (isRecord(group)) raw[head] = { ...group, [tail]: value }
  }
  return raw
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) deepFreeze(inner)
  return Object.freeze(value)
}
