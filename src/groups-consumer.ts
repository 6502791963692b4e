/** The ready-made consumer: groups come from the query, what clients may do comes from rules by group name. */
import { MisuseError, Refusal } from './errors.ts'
import { Glob } from './glob.ts'
import type { Connection, Consumer } from './hub/consumer.ts'
import type { AnyMessages } from './message.ts'
import { assertGroupName, isGroupName, quote } from './names.ts'
import { assertKnownOptions } from './options.ts'
import { type GroupAction, GroupPermissions } from './permission.ts'

/**
 * Who may do something: `anyone` who may connect; whoever is `authenticated`, and so has an identity; whoever has a `token` among whose claims
 * the group is; or `nobody`. A token that names groups is never good for others, whatever the rule says.
 */
export type Who = 'anyone' | 'authenticated' | 'token' | 'nobody'

/** What clients may do to the groups whose name matches. */
export interface GroupRule {
  /** A group name in which `*` stands for any run of characters: `chat.*`. */
  readonly match: string
  /** Who may join, and get the history: `anyone` unless given. */
  readonly join?: Who
  /** Who may publish from a connection (the HTTP API is not concerned): `nobody` unless given. */
  readonly send?: Who
}

/** Options of {@link groupsConsumer}. */
export interface GroupsConsumerOptions {
  /** The first that matches a group's name decides. Groups that none matches may be joined and not published to. */
  readonly rules?: readonly GroupRule[]
  /** Groups that every connection joins, whatever its query. */
  readonly groups?: readonly string[]
  /** The query parameter that names a group; it may stand there several times. `group` unless given. */
  readonly parameter?: string
}

const WHO: readonly unknown[] = ['anyone', 'authenticated', 'token', 'nobody']

/**
 * A consumer for `/events?group=a&group=b`: puts each client into the groups of its query and, where the rules allow it, lets it
 * join others and publish by command. Where its `connect` is used beside another `authorize`, that is asked about the groups of the query, too.
 * With `history=20` in the query a new client first gets the 20 newest messages of each group. The standalone server mounts it at `/events`.
 *
 * @example
 * hub.consumer('/events', groupsConsumer({ rules: [{ match: 'chat.*', send: 'anyone' }, { match: '*', join: 'nobody' }] }))
 *
 * @throws {MisuseError} `invalid-option`, `invalid-name`
 */
export function groupsConsumer<M = AnyMessages>(options: GroupsConsumerOptions = {}): Consumer<M> {
  assertKnownOptions('groupsConsumer', options, ['rules', 'groups', 'parameter'])
  const { groups = [], parameter = 'group' } = options
  const mayDo = compileRules(options.rules ?? [])
  for (const group of groups) assertGroupName(group)
  return {
    async connect(connection: Connection<M>) {
      const { query } = connection
      const wanted = new Set(query.getAll(parameter))
      const history = wantedHistory(query.get('history'))
      // All or none: a client that is refused one group must not think that it gets the others.
      for (const group of wanted) {
        // What is no name at all is told so by `join`.
        if (isGroupName(group) && !mayDo(connection, 'join', group))
          throw new Refusal('forbidden', `The group ${quote(group)} cannot be joined.`)
      }
      for (const group of groups) await connection.join(group, { history })
      for (const group of wanted) {
        if (groups.includes(group)) continue
        // The client has named it. A consumer that has borrowed this hook may allow less than the rules; one that has nobody to ask leaves it to them.
        await connection.join(group, { history, checked: connection.isAskable })
      }
    },
    authorize: (connection, action, group) => mayDo(connection, action, group),
  }
}

/** @throws {Refusal} `bad-request` */
function wantedHistory(given: string | null): number {
  if (given === null) return 0
  if (/^\d{1,9}$/.test(given)) return Number(given)
  throw new Refusal(
    'bad-request',
    `history=${quote(given)}: it must be how many messages are wanted of each group.`,
  )
}

type Client = Pick<Connection<never>, 'identity'>

function compileRules(
  rules: readonly GroupRule[],
): (client: Client, action: GroupAction, group: string) => boolean {
  const compiled = rules.map((rule) => {
    const { match, join = 'anyone', send = 'nobody' } = rule
    // A misspelt `join` would let anyone in.
    assertKnownOptions(`The rule for ${quote(match)}`, rule, ['match', 'join', 'send'])
    if (!WHO.includes(join) || !WHO.includes(send)) {
      const given = `join: ${quote(join)}, send: ${quote(send)}`
      throw new MisuseError(
        'invalid-option',
        `The rule for ${quote(match)} has ${given}: use "anyone", "authenticated", "token" or "nobody".`,
      )
    }
    return { glob: new Glob(match), join, send }
  })
  return (client, action, group) => {
    const rule = compiled.find(({ glob }) => glob.matches(group)) ?? DEFAULT_RULE
    const permissions = GroupPermissions.of(client.identity)
    if (permissions?.allows(action, group) === false) return false
    return isAmong(rule[action === 'send' ? 'send' : 'join'], client.identity, permissions)
  }
}

const DEFAULT_RULE: { readonly join: Who; readonly send: Who } = { join: 'anyone', send: 'nobody' }

/** @param permissions those that allow it, where there are any */
function isAmong(who: Who, identity: Client['identity'], permissions: GroupPermissions | null): boolean {
  switch (who) {
    case 'anyone':
      return true
    case 'authenticated':
      return identity !== null
    case 'token':
      return permissions !== null
    case 'nobody':
      return false
    default:
      return who satisfies never
  }
}
