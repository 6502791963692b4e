/** Where a text stops being JSON. Node 20 does not say it for every error, and its texts quote the file, which may hold keys. */
export interface JsonError {
  /** From 0, in UTF-16 code units. */
  readonly offset: number
  /** What could have stood there. */
  readonly expected: string
}

type State = 'value' | 'value-or-end' | 'key' | 'key-or-end' | 'colon' | 'comma-or-end' | 'end'

const SPACE = /[ \t\n\r]*/y
// From the space up, but for the quote and the backslash: JSON allows no raw control characters in strings.
const STRING = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

/** The first error of a JSON text (RFC 8259), or `null` for valid JSON. */
export function findJsonError(text: string): JsonError | null {
  const open: ('{' | '[')[] = []
  let state: State = 'value'
  let offset = match(SPACE, text, 0)
  while (offset < text.length) {
    const next = step(text, offset, state, open)
    if (next === null) break
    state = next.state
    offset = match(SPACE, text, next.offset)
  }
  return state === 'end' && offset === text.length ? null : { offset, expected: expectation(state, open) }
}

/** Takes one token; `null` when none of those allowed in this state is there. */
function step(text: string, offset: number, state: State, open: ('{' | '[')[]) {
  const char = text.charAt(offset)
  if (state === 'colon') return char === ':' ? { offset: offset + 1, state: 'value' as const } : null
  if (isClosing(char, state, open)) {
    open.pop()
    return { offset: offset + 1, state: afterValue(open) }
  }
  if (state === 'comma-or-end') {
    if (char !== ',') return null
    return { offset: offset + 1, state: open.at(-1) === '{' ? ('key' as const) : ('value' as const) }
  }
  if (state === 'key' || state === 'key-or-end') return token(STRING, text, offset, 'colon')
  if (state === 'end') return null
  if (char === '{' || char === '[') {
    open.push(char)
    return { offset: offset + 1, state: char === '{' ? ('key-or-end' as const) : ('value-or-end' as const) }
  }
  return token(char === '"' ? STRING : SCALAR, text, offset, afterValue(open))
}

function isClosing(char: string, state: State, open: readonly string[]): boolean {
  if (state !== 'comma-or-end' && state !== 'key-or-end' && state !== 'value-or-end') return false
  return char === (open.at(-1) === '{' ? '}' : ']')
}

function afterValue(open: readonly string[]): State {
  return open.length === 0 ? 'end' : 'comma-or-end'
}

function token(pattern: RegExp, text: string, offset: number, state: State) {
  const end = match(pattern, text, offset)
  return end === offset ? null : { offset: end, state }
}

/** The end of a match that starts at `offset`, or `offset` itself. */
function match(pattern: RegExp, text: string, offset: number): number {
  pattern.lastIndex = offset
  return pattern.test(text) ? pattern.lastIndex : offset
}

function expectation(state: State, open: readonly string[]): string {
  const end = open.at(-1) === '{' ? '"}"' : '"]"'
  switch (state) {
    case 'value':
      return 'a value'
    case 'value-or-end':
      return 'a value or "]"'
    case 'key':
      return 'a key in double quotes'
    case 'key-or-end':
      return 'a key in double quotes or "}"'
    case 'colon':
      return '":"'
    case 'comma-or-end':
      return `"," or ${end}`
    case 'end':
      return 'the end of the file'
    default:
      return state satisfies never
  }
}
