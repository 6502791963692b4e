import { Refusal } from '../errors.ts'
import { badName, isGroupName } from '../names.ts'
import type { Groups, Membership } from './groups.ts'
import type { LiveConnection } from './live-connection.ts'

/** The groups that one connection is in. */
export class Memberships {
  readonly #connection: LiveConnection
  readonly #groups: Groups
  readonly #byName = new Map<string, Membership>()

  constructor(connection: LiveConnection, groups: Groups) {
    this.#connection = connection
    this.#groups = groups
  }

  get names(): string[] {
    return [...this.#byName.keys()]
  }

  /**
   * Resolves when the layer delivers the group to this node.
   *
   * @throws {Refusal} `invalid-name`, `too-many-groups`; or the layer's error, and then the connection is not in the group
   */
  async join(name: string, most: number): Promise<void> {
    if (!isGroupName(name)) throw new Refusal('invalid-name', badName('group', name))
    const isMember = this.#byName.has(name)
    if (!isMember && this.#byName.size >= most) {
      throw new Refusal('too-many-groups', `A connection can be in ${most} groups.`)
    }
    const group = this.#groups.open(name)
    if (!isMember) this.#byName.set(name, group.add(this.#connection))
    try {
      await this.#groups.settle(group)
    } catch (error) {
      await this.leave(name)
      throw error
    }
  }

  /** @throws the layer's error; the connection has left all the same */
  async leave(name: string): Promise<void> {
    const membership = this.#byName.get(name)
    if (membership === undefined) return
    this.#byName.delete(name)
    membership.group.remove(membership)
    await this.#groups.settle(membership.group)
  }

  /** The group moved the connection to another place among its members. */
  moved(name: string, index: number): void {
    const membership = this.#byName.get(name)
    if (membership !== undefined) membership.index = index
  }
}
