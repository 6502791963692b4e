import { badName } from '../names.ts'
import type { Parameter } from './route.ts'
import { CHANNEL_NAME, CONNECTION_ID, GROUP_NAME, IDENTITY_ID } from './schemas.ts'

/** `{group}` in a path. */
export const GROUP_PARAMETER: Parameter = Object.freeze({
  name: 'group',
  isLimited: true,
  schema: GROUP_NAME,
  code: 'invalid-name',
  badText: (value: string) => badName('group', value),
})

/** `{channel}` in a path. */
export const CHANNEL_PARAMETER: Parameter = Object.freeze({
  name: 'channel',
  isLimited: true,
  schema: CHANNEL_NAME,
  code: 'invalid-name',
  badText: (value: string) => badName('channel', value),
})

/** `{id}` in a path: of a connection. */
export const CONNECTION_PARAMETER: Parameter = Object.freeze({
  name: 'id',
  isLimited: false,
  schema: CONNECTION_ID,
  code: 'bad-request',
  badText: () => 'The id of the connection is missing.',
})

/** `{id}` in a path: of an identity. */
export const IDENTITY_PARAMETER: Parameter = Object.freeze({
  name: 'id',
  isLimited: false,
  schema: IDENTITY_ID,
  code: 'bad-request',
  badText: () => 'An identity is 1 to 255 characters, none of them control characters.',
})
