import { badName } from '../names.ts'
import type { Parameter } from './route.ts'
import { CHANNEL_NAME, CONNECTION_ID, GROUP_NAME } from './schemas.ts'

/** `{group}` in a path. */
export const GROUP_PARAMETER: Parameter = Object.freeze({
  name: 'group',
  schema: GROUP_NAME,
  code: 'invalid-name',
  badText: (value: string) => badName('group', value),
})

/** `{channel}` in a path. */
export const CHANNEL_PARAMETER: Parameter = Object.freeze({
  name: 'channel',
  schema: CHANNEL_NAME,
  code: 'invalid-name',
  badText: (value: string) => badName('channel', value),
})

/** `{id}` in a path: of a connection. */
export const CONNECTION_PARAMETER: Parameter = Object.freeze({
  name: 'id',
  schema: CONNECTION_ID,
  code: 'bad-request',
  badText: () => 'The id of the connection is missing.',
})
