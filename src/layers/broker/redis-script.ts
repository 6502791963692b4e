import { createHash } from 'node:crypto'

/** A Lua script, and the name under which Redis knows it once it is loaded. */
export interface Script {
  readonly source: string
  /** SHA-1 of the source, in hexadecimal. */
  readonly sha: string
}

export function defineScript(source: string): Script {
  return Object.freeze({ source, sha: createHash('sha1').update(source).digest('hex') })
}
