import { Refusal } from '../errors.ts'
import { badName, isGroupName } from '../names.ts'
import type { Groups, Membership } from './groups.ts'
import type { LiveConnection } from './live-connection.ts'

const NONE: readonly Membership[] = Object.freeze([])

/** The groups that one connection is in. */
export class Memberships {
  readonly #connection: LiveConnection
  readonly #groups: Groups
  // Not a map: most connections are in a few groups, of which a map would take more memory than all else here (bench: idle-memory).
  #list: readonly Membership[] = NONE

  constructor(connection: LiveConnection, groups: Groups) {
    this.#connection = connection
    this.#groups = groups
  }

  get names(): string[] {
    return this.#list.map(({ group }) => group.name)
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined
  }

  /**
   * Resolves when the layer delivers the group to this node.
   *
   * @throws {Refusal} `invalid-name`, `too-many-groups`; or the layer's error, and then the connection is not in the group
   */
  async join(name: string, most: number): Promise<void> {
    if (!isGroupName(name)) throw new Refusal('invalid-name', badName('group', name))
    const isMember = this.#find(name) !== undefined
    if (!isMember && this.#list.length >= most) {
      throw new Refusal('too-many-groups', `A connection can be in ${most} groups.`)
    }
    const group = this.#groups.open(name)
    // `concat` leaves no room to grow, as `push` would.
    if (!isMember) this.#list = this.#list.concat(group.add(this.#connection))
    try {
      await this.#groups.settle(group)
    } catch (error) {
      await this.leave(name)
      throw error
    }
  }

  /** @throws the layer's error; the connection has left all the same */
  async leave(name: string): Promise<void> {
    const membership = this.#find(name)
    if (membership === undefined) return
    this.#list = this.#list.length === 1 ? NONE : this.#list.filter((other) => other !== membership)
    membership.group.remove(membership)
    await this.#groups.settle(membership.group)
  }

  /** The group moved the connection to another place among its members. */
  moved(name: string, index: number): void {
    const membership = this.#find(name)
    if (membership !== undefined) membership.index = index
  }

  #find(name: string): Membership | undefined {
    return this.#list.find(({ group }) => group.name === name)
  }
}
