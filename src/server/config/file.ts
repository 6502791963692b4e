/** Finds and reads the configuration file. */
import { existsSync, readFileSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { isDeeperThan } from '../../json.ts'
import { findJsonError } from './json-error.ts'

/** What a file holds, or what is wrong with it; the text names the file. */
export type FileResult =
  | { readonly ok: true; readonly values: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly text: string }

/** A file to read, by the name that texts give it. */
export interface NamedFile {
  readonly name: string
  readonly path: string
  /** The flag or variable that named it; `null` for one that was found. */
  readonly namedBy: string | null
}

/** The names that are looked for in the working directory. */
const FILE_NAMES: readonly string[] = [
  'groupcast.config.json',
  'groupcast.config.yaml',
  'groupcast.config.yml',
]

/** The configuration files that are in a directory. */
export function filesIn(directory: string): NamedFile[] {
  const files = FILE_NAMES.map((name) => ({ name, path: resolve(directory, name), namedBy: null }))
  return files.filter(({ path }) => existsSync(path))
}

/** Reads a file as JSON or YAML, by the end of its name. */
export function readConfigFile({ name, path, namedBy }: NamedFile): FileResult {
  const parse = PARSERS.get(extname(path).toLowerCase())
  if (parse === undefined) {
    return problem(`file ${name} has an unknown format: its name must end in .json, .yaml or .yml.`)
  }
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const by = namedBy === null ? '' : ` (named by ${namedBy})`
    return problem(`file ${name}${by} cannot be read: ${readFault(error)}.`)
  }
  const parsed = parse(text.startsWith('\ufeff') ? text.slice(1) : text, name)
  if (!parsed.ok) return parsed
  const { value } = parsed
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return problem(`file ${name} must hold an object of configuration keys, such as {"port": 8000}.`)
  }
  return { ok: true, values: value as Record<string, unknown> }
}

type Parsed = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly text: string }

const PARSERS: ReadonlyMap<string, (text: string, name: string) => Parsed> = new Map([
  ['.json', parseJsonFile],
  ['.yaml', parseYamlFile],
  ['.yml', parseYamlFile],
])

function problem(text: string): { readonly ok: false; readonly text: string } {
  return { ok: false, text }
}

const READ_FAULTS: ReadonlyMap<unknown, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['ENOTDIR', 'there is no such file'],
  ['EACCES', 'this user may not read it'],
  ['EPERM', 'this user may not read it'],
  ['EISDIR', 'it is a directory'],
])

function readFault(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException
  return READ_FAULTS.get(code) ?? `reading it failed (${code ?? 'unknown error'})`
}

function parseJsonFile(text: string, name: string): Parsed {
  try {
    return { ok: true, value: JSON.parse(text) }
  } catch {
    const { offset, expected } = findJsonError(text) ?? { offset: 0, expected: 'valid JSON' }
    const lines = text.slice(0, offset).split(/\r\n|\r|\n/)
    const place = `line ${lines.length}, column ${(lines.at(-1) ?? '').length + 1}`
    return problem(`file ${name} is not valid JSON at ${place}: ${expected} was expected.`)
  }
}

/** Far more than a configuration has. */
const MAX_YAML_DEPTH = 100

function parseYamlFile(text: string, name: string): Parsed {
  // The parser would go down until the stack is full, and a regular expression that is compiled there ends the process.
  if (isDeeperThan(text, MAX_YAML_DEPTH)) {
    return problem(`file ${name} is not valid YAML: ${YAML_FAULTS.get('RESOURCE_EXHAUSTION')}.`)
  }
  const lineCounter = new LineCounter()
  // Without `prettyErrors` no text quotes the file, which may hold keys. At the level "silent" a second document is no error.
  const document = parseDocument(text, { lineCounter, prettyErrors: false, logLevel: 'error' })
  const [error] = document.errors
  if (error !== undefined) {
    const { line, col } = lineCounter.linePos(error.pos[0])
    const fault = YAML_FAULTS.get(error.code) ?? yamlFault(error.message)
    return problem(`file ${name} is not valid YAML at line ${line}, column ${col}: ${fault}.`)
  }
  try {
    // An empty file is an empty configuration.
    return { ok: true, value: document.toJS() ?? {} }
  } catch (error) {
    // Aliases without an anchor, or so many of them that they are an attack.
    return problem(`file ${name} is not valid YAML: ${yamlFault((error as Error).message)}.`)
  }
}

/** Where the parser's own text would not help. */
const YAML_FAULTS: ReadonlyMap<string, string> = new Map([
  ['RESOURCE_EXHAUSTION', 'it is nested too deeply'],
  ['MULTIPLE_DOCS', 'a second document begins, and only one is read'],
])

/** The parser's text, begun in lower case and without what it quotes of the file. */
function yamlFault(message: string): string {
  const text = message.replace(/: ".*$/s, '').replace(/[.\s]+$/, '')
  return text.charAt(0).toLowerCase() + text.slice(1)
}
