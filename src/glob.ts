import { MisuseError } from './errors.ts'
import { MAX_NAME_LENGTH, quote } from './names.ts'

const PATTERN = /^[A-Za-z0-9._~:@#$/!*-]+$/

/** A pattern of group or channel names in which `*` stands for any run of characters, also none. Matches in linear time. */
export class Glob {
  readonly pattern: string
  readonly #parts: readonly string[]

  /** @throws {MisuseError} `invalid-option` for a pattern that no name could match */
  constructor(pattern: string) {
    if (typeof pattern !== 'string' || !PATTERN.test(pattern) || pattern.length > MAX_NAME_LENGTH) {
      throw new MisuseError(
        'invalid-option',
        `${quote(pattern)} is not a pattern: use 1–${MAX_NAME_LENGTH} characters of names, and * for any run of them.`,
      )
    }
    this.pattern = pattern
    this.#parts = pattern.split('*')
  }

  /** Whether the whole name matches. Takes the first place for each part and never goes back in the name. */
  matches(name: string): boolean {
    const parts = this.#parts
    const first = parts[0] as string
    if (parts.length === 1) return name === first
    const last = parts[parts.length - 1] as string
    const end = name.length - last.length
    if (first.length > end || !name.startsWith(first) || !name.endsWith(last)) return false
    let from = first.length
    for (let i = 1; i < parts.length - 1; i++) {
      const part = parts[i] as string
      const at = name.indexOf(part, from)
      if (at === -1 || at + part.length > end) return false
      from = at + part.length
    }
    return true
  }
}
