import { GroupcastError } from './errors.ts'

/**
 * Parses JSON that a client sent.
 *
 * @throws {GroupcastError} `invalid-json` for text that is not JSON; `json-too-deep` for more than `maxDepth` levels of arrays and objects
 */
export function parseJson(text: string, maxDepth: number): unknown {
  if (isDeeperThan(text, maxDepth)) {
    throw new GroupcastError('json-too-deep', `The JSON is nested deeper than ${maxDepth} levels.`)
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new GroupcastError('invalid-json', 'The text is not valid JSON.')
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/**
 * Whether brackets outside strings are nested deeper than `maxDepth`. Looks at the text before it is parsed, because what
 * comes after parsing (validators, `JSON.stringify`) recurses.
 */
export function isDeeperThan(text: string, maxDepth: number): boolean {
  if (text.length <= maxDepth) return false
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (char === OPEN_BRACE || char === OPEN_BRACKET) {
      if (++depth > maxDepth) return true
    } else if (char === CLOSE_BRACE || char === CLOSE_BRACKET) {
      depth--
    } else if (char === QUOTE) {
      i = endOfString(text, i)
    }
  }
  return false
}

/** The index of the quote that ends the string which starts at `start`, or the text's end. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end !== -1) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++
    if (escapes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return text.length
}
