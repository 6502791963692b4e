import { Glob } from '../glob.ts'
import { type HistoryBounds, resolveHistory } from '../history.ts'
import { quote } from '../names.ts'
import { assertKnownOptions } from '../options.ts'
import { assertSlowPolicy, type SlowPolicy } from '../slow.ts'
import type { GroupOptions } from './hub-api.ts'

interface Rule {
  readonly glob: Glob
  readonly slow: SlowPolicy | null
  readonly history: HistoryBounds | null
}

/** The hub's options by group name; the first rule that matches decides. */
export class GroupRules {
  readonly #rules: readonly Rule[]

  /** @throws {MisuseError} `invalid-option` for bad patterns, policies and unknown options */
  constructor(rules: readonly GroupOptions[]) {
    this.#rules = rules.map((rule) => {
      const where = `groups[${quote(rule.match)}]`
      assertKnownOptions(where, rule, ['match', 'slow', 'history'])
      assertSlowPolicy(where, rule.slow)
      const history = resolveHistory(`${where}.history`, rule.history ?? false)
      return { glob: new Glob(rule.match), slow: rule.slow ?? null, history }
    })
  }

  /** Whether any group keeps history. */
  get keepHistory(): boolean {
    return this.#rules.some(({ history }) => history !== null)
  }

  slowOf(group: string): SlowPolicy | null {
    return this.#of(group)?.slow ?? null
  }

  historyOf(group: string): HistoryBounds | null {
    return this.#of(group)?.history ?? null
  }

  #of(group: string): Rule | undefined {
    return this.#rules.find(({ glob }) => glob.matches(group))
  }
}
