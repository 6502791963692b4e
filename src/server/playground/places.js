/** Where things are: the URLs of the server that this page came from, and the code and commands that use them. */

/** The path of the events, as the server wrote it into the page. */
const eventsPath = document.querySelector('meta[name="groupcast-events-path"]')?.content || '/events'

/** Names as the hub allows them: section "Names" of the protocol. */
const GROUP_NAME = /^[A-Za-z0-9._~:@#$/-]{1,255}$/
export const NAME_RULE = '1–255 characters of A–Z a–z 0–9 . _ ~ : @ # $ / -'
export const MAX_GROUPS = 128

export function isGroupName(name) {
  return GROUP_NAME.test(name)
}

/** `?group=a&group=b`, as the hub and this page's own address spell it. */
export function groupsQuery(groups) {
  return new URLSearchParams(groups.map((group) => ['group', group])).toString()
}

/** The consumer that the client library connects to. */
export function consumerUrl() {
  return new URL(eventsPath, document.baseURI).href
}

/** The events of some groups, with further `parameters` in the query; over `ws:` or `wss:` when `websocket`. */
export function eventsUrl(groups, { websocket = false, parameters = {} } = {}) {
  const url = new URL(consumerUrl())
  url.search = groupsQuery(groups)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  if (websocket) url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return url.href
}

/** A URL without its origin, for code that stands in a page of this server. */
export function withoutOrigin(url) {
  const { pathname, search } = new URL(url)
  return `${pathname}${search}`
}

/** A route of the HTTP API, relative to the page so that a path prefix before the server does no harm. */
export function apiUrl(path) {
  return new URL(`api/${path}`, document.baseURI).href
}

export function messagesUrl(group) {
  return apiUrl(`groups/${encodeURIComponent(group)}/messages`)
}

/** The command that publishes to a group from a terminal. No group name can hold a quote, so none needs escaping. */
export function publishCommand(group, { needsKey = false } = {}) {
  const lines = [
    "curl -H 'content-type: application/json'",
    ...(needsKey ? ['-H "authorization: Bearer $API_KEY"'] : []),
    `-d '{"type":"chat.message","text":"hi"}'`,
    `'${messagesUrl(group)}'`,
  ]
  return lines.join(' \\\n  ')
}

/** The command that follows groups in a terminal. */
export function followCommand(groups) {
  return `curl -N '${eventsUrl(groups)}'`
}
