/** What is wrong with a configuration, in words: the key and where it was set, the value, what is allowed. */
import type { z } from 'zod'
import { quote } from '../../names.ts'
import { nearest } from './nearest.ts'
import { configSchema } from './schema.ts'
import { settingInfo } from './setting.ts'
import { GROUP_RULE_SETTINGS, objectIn, SETTINGS, unwrap } from './settings.ts'

/** One thing that is wrong. */
export interface ConfigProblem {
  /** For example `limits.heartbeatMs` or `groups[0].join`; `null` for a problem with the file itself. */
  readonly key: string | null
  /** `flag --port`, `variable GROUPCAST_PORT`, `file groupcast.config.json` or `default`. */
  readonly source: string
  /** One line that says it all. */
  readonly text: string
}

type Path = readonly PropertyKey[]

/**
 * The problems behind the issues of the schema.
 *
 * @param raw what was parsed
 * @param sourceOf where a setting (`port`, `limits.heartbeatMs`) was set
 */
export function problemsOf(
  issues: readonly z.core.$ZodIssue[],
  raw: unknown,
  sourceOf: (key: string) => string,
): ConfigProblem[] {
  const problems = new Map<string, ConfigProblem>()
  for (const issue of issues.flatMap(ofUnion)) {
    const found =
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => unknownKey([...issue.path, key], sourceOf))
        : [badValue(issue, raw, sourceOf)]
    // Several checks of one value fail together: one line about it is enough.
    for (const problem of found) if (!problems.has(problem.text)) problems.set(problem.text, problem)
  }
  return [...problems.values()]
}

/** Where a value may be an object or something else, and is an object: what is wrong inside it, rather than that it is neither. */
function ofUnion(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union') return [issue]
  const inside = issue.errors.find((issues) =>
    issues.some(({ code, path }) => code === 'unrecognized_keys' || path.length > 0),
  )
  return inside?.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })) ?? [issue]
}

/** `groups[0].join` for `['groups', 0, 'join']`; a name that is none of ours is quoted. */
function keyText(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    const name = /^[A-Za-z]\w{0,60}$/.test(String(part)) ? String(part) : quote(String(part))
    return text === '' ? name : `${text}.${name}`
  }, '')
}

function sourceOfPath(path: Path, sourceOf: (key: string) => string): string {
  const isInside = ['auth', 'limits', 'rates', 'tls'].includes(String(path[0])) && path.length > 1
  return sourceOf(isInside ? `${String(path[0])}.${String(path[1])}` : String(path[0]))
}

function unknownKey(path: Path, sourceOf: (key: string) => string): ConfigProblem {
  const key = keyText(path)
  const source = sourceOfPath(path, sourceOf)
  return { key, source, text: `${key} (${source}) is not a configuration key.${suggestKey(path)}` }
}

function suggestKey(path: Path): string {
  const word = String(path.at(-1))
  if (path[0] === 'groups' && path.length > 1) {
    const parent = [...path.slice(2, -1)].join('.')
    const names = GROUP_RULE_SETTINGS.filter(({ key }) => parentOf(key) === parent).map(({ key }) =>
      lastPart(key),
    )
    const name = nearest(word, names)
    const of = parent === '' ? 'a rule' : parent
    return name === null ? ` The keys of ${of} are ${names.join(', ')}.` : ` Did you mean "${name}"?`
  }
  // A limit at the top level, or the other way round, is told where it belongs.
  const name = nearest(
    word,
    SETTINGS.map(({ key }) => lastPart(key)),
  )
  const setting = SETTINGS.find(({ key }) => lastPart(key) === name)
  if (setting !== undefined) return ` Did you mean "${setting.key}"?`
  const schema =
    path[0] === 'limits' || path[0] === 'rates' || path[0] === 'auth'
      ? unwrap(configSchema.shape[path[0]])
      : configSchema
  return ` The keys are ${Object.keys((schema as z.ZodObject).shape).join(', ')}.`
}

/** `history` for `groups[].history.count`; empty for what stands in the rule itself. */
function parentOf(ruleKey: string): string {
  return ruleKey.split('.').slice(1, -1).join('.')
}

function lastPart(key: string): string {
  return key.slice(key.lastIndexOf('.') + 1)
}

function badValue(issue: z.core.$ZodIssue, raw: unknown, sourceOf: (key: string) => string): ConfigProblem {
  const key = keyText(issue.path)
  const source = sourceOfPath(issue.path, sourceOf)
  const { allowed, isSecret } = infoAt(issue.path)
  const value = valueAt(raw, issue.path)
  const fault = isSecret
    ? 'is not valid (its value is not shown)'
    : value === undefined
      ? 'is missing'
      : `is ${show(value)}`
  const rule = issue.code === 'custom' ? issue.message : `it must be ${allowed}.`
  return { key, source, text: `${key} (${source}) ${fault}: ${rule}` }
}

/** The words for a path, and whether anything on the way is secret. */
function infoAt(path: Path): { allowed: string; isSecret: boolean } {
  let schema: z.ZodType = configSchema
  let isSecret = false
  for (const part of path) {
    const inner = unwrap(schema)
    const next =
      inner.def.type === 'array' ? (inner as z.ZodArray).element : objectIn(inner)?.shape[String(part)]
    if (next === undefined) break
    schema = next as z.ZodType
    isSecret ||= settingInfo.get(schema)?.isSecret ?? false
  }
  return { allowed: settingInfo.get(schema)?.allowed ?? 'something else', isSecret }
}

function valueAt(raw: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, part) => {
    const isThere = typeof value === 'object' && value !== null && Object.hasOwn(value, part)
    return isThere ? (value as Record<PropertyKey, unknown>)[part] : undefined
  }, raw)
}

const LONGEST_SHOWN = 80

/** A value as JSON, cut, without the credentials of URLs. */
function show(value: unknown): string {
  let text: string
  try {
    text = JSON.stringify(value) ?? String(value)
  } catch {
    // Cycles, which YAML can write, and depths beyond the stack.
    return 'nested beyond showing'
  }
  text = text.replace(/:\/\/[^"]*@/g, '://***@')
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN - 1)}…` : text
}
