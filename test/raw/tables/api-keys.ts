/** Keys of the HTTP API and what they are good for: RFC 6750, section 3, and RFC 9110, section 11. */
import { ask, get, send } from '../bytes.ts'
import { type Answer, answers, closes, problem, type Row } from '../row.ts'
import { KEYS } from '../stage.ts'

const row = (id: string, rfc: string, what: string, bytes: string | Buffer, answer: Answer): Row => ({
  id,
  rfc: `RFC ${rfc}`,
  what,
  send: bytes,
  answer,
})

const with_ = (key: string) => `Authorization: Bearer ${key}`
const publish = (group: string, ...headers: string[]) =>
  send(
    `POST /api/groups/${group}/messages`,
    ['Content-Type: application/json', 'Content-Length: 12', 'Connection: close', ...headers],
    '{"type":"m"}',
  )
const bulk = (body: string, key: string) =>
  send(
    'POST /api/publish',
    ['Content-Type: application/json', `Content-Length: ${body.length}`, with_(key)],
    body,
  )

const SENT = closes({ status: 200, headers: { 'www-authenticate': null }, body: '{"cursor":null}' })
const NO_KEY = problem('unauthorized', undefined, { 'www-authenticate': 'Bearer' })
const WRONG_KEY = problem('unauthorized', undefined, { 'www-authenticate': 'Bearer error="invalid_token"' })
const lacks = (scope: string) =>
  problem(
    'forbidden',
    `The key is not for this: it would need the scope "${scope}", without limits to groups where none are concerned.`,
    { 'www-authenticate': `Bearer error="insufficient_scope", scope="${scope}"` },
  )

export const API_KEYS: readonly Row[] = [
  row('AK-01', '6750, 3', 'no key: the challenge has no error', get('/api/groups'), answers(NO_KEY)),
  row(
    'AK-02',
    '6750, 3.1',
    'a key that is none: the challenge says so',
    get('/api/groups', with_('key-of-nobody-at-all')),
    answers(WRONG_KEY),
  ),
  row(
    'AK-03',
    '6750, 2.1',
    'a key and something else',
    get('/api/groups', `${with_(KEYS.all)} x`),
    answers(NO_KEY),
  ),
  row(
    'AK-04',
    '9110, 5.3',
    'two headers, the first of them good',
    get('/api/groups', with_(KEYS.all), with_('x')),
    answers(NO_KEY),
  ),
  row(
    'AK-05',
    '9110, 11.1',
    'schemes have no case',
    get('/api/groups', `Authorization: BEARER  ${KEYS.read}`),
    answers({ status: 200, body: /^\{"groups":\[.*\]\}$/ }),
  ),
  row(
    'AK-06',
    '9110, 11.1',
    'another scheme',
    get('/api/groups', `Authorization: Basic ${KEYS.all}`),
    answers(NO_KEY),
  ),
  row(
    'AK-07',
    '6750, 2.3',
    'a key in the query is none',
    get(`/api/groups?access_token=${KEYS.all}`),
    answers(NO_KEY),
  ),
  row(
    'AK-08',
    '6265, 5.4',
    'nor is one in a cookie',
    get('/api/groups', `Cookie: session=${KEYS.all}`),
    answers(NO_KEY),
  ),
  row(
    'AK-09',
    '6750, 2.1',
    'a key without its last letter',
    get('/api/groups', with_(KEYS.all.slice(0, -1))),
    answers(WRONG_KEY),
  ),
  row(
    'AK-10',
    '6750, 3.1',
    'a key to publish, to a group of its own',
    publish('news.a', with_(KEYS.publish)),
    SENT,
  ),
  row(
    'AK-11',
    '6750, 3.1',
    'to another group',
    publish('chat.a', with_(KEYS.publish)),
    closes(problem('forbidden', undefined, { 'www-authenticate': null })),
  ),
  row(
    'AK-12',
    '3986, 2.4',
    'to another group, percent-encoded',
    publish('chat%2ea', with_(KEYS.publish)),
    closes(problem('forbidden')),
  ),
  row(
    'AK-13',
    '6750, 3.1',
    'a key to publish does not read',
    get('/api/groups', with_(KEYS.publish)),
    answers(lacks('read')),
  ),
  row(
    'AK-14',
    '6750, 3.1',
    'a key to read does not publish',
    publish('news.a', with_(KEYS.read)),
    closes(lacks('publish')),
  ),
  row(
    'AK-15',
    '6750, 3.1',
    'nor close connections',
    ask('DELETE /api/connections/x', with_(KEYS.read)),
    answers(lacks('admin')),
  ),
  row(
    'AK-16',
    '6750, 3.1',
    'nor withdraw what others have',
    ask('DELETE /api/identities/ann/connections', with_(KEYS.read)),
    answers(lacks('admin')),
  ),
  row(
    'AK-17',
    '6750, 3.1',
    'a key of an admin does not read',
    get('/metrics', with_(KEYS.admin)),
    answers(lacks('read')),
  ),
  row(
    'AK-18',
    '6750, 3.1',
    'in a bulk each group by itself',
    bulk('{"groups":["news.a","chat.a"],"message":{"type":"m"}}', KEYS.publish),
    answers({
      status: 200,
      body: '{"results":[{"group":"news.a","cursor":null},{"group":"chat.a","error":{"code":"forbidden","message":"This is not allowed."}}]}',
    }),
  ),
  row(
    'AK-19',
    '9110, 15.5.2',
    'a key is wanted before the body is read, whatever it is',
    publish('news.a', 'X-A: 1'),
    closes(NO_KEY),
  ),
  row(
    'AK-20',
    '9110, 15.5.6',
    'and after the method is known',
    ask('PATCH /api/groups'),
    answers(
      problem('method-not-allowed', 'The methods here are GET, HEAD, OPTIONS.', {
        allow: 'GET, HEAD, OPTIONS',
      }),
    ),
  ),
]
