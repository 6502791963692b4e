/** Settings from texts: the environment's variables and the command line's flags. */
import { nearest } from './nearest.ts'
import type { ConfigProblem } from './problems.ts'
import type { Config } from './schema.ts'
import { SETTINGS, type Setting, type SettingKind } from './settings.ts'

/** A value for one setting, and who gave it. */
export interface Given {
  readonly value: unknown
  readonly source: string
}

/** What flags set, by key. Texts are read as variables are; lists may be lists already. `config` names the file. */
export type Flags = { readonly [Key in keyof Config | 'config']?: unknown }

/** The environment, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Variables that are no settings: the file's name, and what `groupcast publish` and `subscribe` send. */
const OTHER_VARIABLES: readonly string[] = ['GROUPCAST_CONFIG', 'GROUPCAST_API_KEY', 'GROUPCAST_TOKEN']

const BY_VARIABLE = new Map(SETTINGS.map((setting) => [setting.variable, setting]))

/** The settings that flags give, by key. */
export function fromFlags(flags: Flags): Map<string, Given> {
  const given = new Map<string, Given>()
  for (const setting of SETTINGS) {
    if (!Object.hasOwn(flags, setting.key)) continue
    const value = flags[setting.key as keyof Flags]
    if (value !== undefined)
      given.set(setting.key, { value: readValue(setting, value), source: flagSource(setting) })
  }
  return given
}

function flagSource({ key, flag }: Setting): string {
  return `flag ${flag === null ? `for ${key}` : flag.split(' ')[0]}`
}

/** The settings that `GROUPCAST_*` variables give, by key, and a problem for each of them that is none of ours. */
export function fromVariables(env: Environment): { given: Map<string, Given>; problems: ConfigProblem[] } {
  const given = new Map<string, Given>()
  const problems: ConfigProblem[] = []
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('GROUPCAST_') || text === undefined || OTHER_VARIABLES.includes(name)) continue
    const setting = BY_VARIABLE.get(name)
    if (setting === undefined) problems.push(unknownVariable(name))
    else given.set(setting.key, { value: readValue(setting, text), source: `variable ${name}` })
  }
  return { given, problems }
}

function unknownVariable(name: string): ConfigProblem {
  const source = `variable ${name}`
  const near = nearest(name, [...BY_VARIABLE.keys(), ...OTHER_VARIABLES])
  const advice =
    near === null ? 'Unset it; docs/configuration.md lists the variables.' : `Did you mean ${near}?`
  return { key: null, source, text: `${source} is not a variable of groupcast. ${advice}` }
}

/** The value that a text means for a setting; one that means nothing stays as it is, for the schema to refuse. */
function readValue({ kind }: Setting, value: unknown): unknown {
  return typeof value === 'string' ? READERS[kind](value) : value
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
])

const READERS: Readonly<Record<SettingKind, (text: string) => unknown>> = {
  text: (text) => text,
  // What reads like a boolean is meant as one: `true`, of which nobody can tell what it means, is refused.
  'text-or-false': (text) => BOOLEANS.get(text) ?? text,
  // `false` is what switches the heartbeat off; other numbers refuse it.
  number: (text) =>
    text === 'false' ? false : /^-?\d{1,15}(?:\.\d{1,15})?$/.test(text) ? Number(text) : text,
  boolean: (text) => BOOLEANS.get(text) ?? text,
  list: (text) => (text.trimStart().startsWith('[') ? READERS.json(text) : listOf(text)),
  json(text) {
    try {
      return JSON.parse(text)
    } catch {
      return text
    }
  },
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
