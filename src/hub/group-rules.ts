import { Glob } from '../glob.ts'
import { quote } from '../names.ts'
import { assertKnownOptions } from '../options.ts'
import { assertSlowPolicy, type SlowPolicy } from '../slow.ts'
import type { GroupOptions } from './hub-api.ts'

/** The hub's options by group name; the first rule that matches decides. */
export class GroupRules {
  readonly #rules: readonly { readonly glob: Glob; readonly slow: SlowPolicy | null }[]

  /** @throws {MisuseError} `invalid-option` for bad patterns, policies and unknown options */
  constructor(rules: readonly GroupOptions[]) {
    this.#rules = rules.map((rule) => {
      assertKnownOptions(`groups[${quote(rule.match)}]`, rule, ['match', 'slow'])
      assertSlowPolicy(`groups[${quote(rule.match)}]`, rule.slow)
      return { glob: new Glob(rule.match), slow: rule.slow ?? null }
    })
  }

  slowOf(group: string): SlowPolicy | null {
    return this.#rules.find(({ glob }) => glob.matches(group))?.slow ?? null
  }
}
