/** What errors of Redis mean. */
/** Error replies after which the session is of no use: the server is another one, or is none for us. */
const FATAL = new Set([
  'READONLY',
  'MOVED',
  'CLUSTERDOWN',
  'MASTERDOWN',
  'LOADING',
  'NOAUTH',
  'NOSCRIPT',
  'STALE',
])

/** What an operator can do about some of them. */
const ADVICE: Readonly<Record<string, string>> = {
  WRONGPASS: 'check the user name and the password',
  NOAUTH: 'give a password',
  NOPERM:
    'the ACL of its user must allow the keys and channels of the prefix, and the commands in the docs of the layer',
  OOM: 'raise maxmemory, or keep less',
  READONLY: 'it is a replica: a failover may be under way',
  MISCONF: 'Redis cannot write its snapshots: look at its log and its disk',
  NOREPLICAS: 'fewer replicas are connected than min-replicas-to-write wants',
}

/** An error that Redis answered with: it has done nothing. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}

/** The word that an error reply begins with, such as `READONLY`. */
function wordOf(error: Error): string {
  return /^[A-Z]+/.exec(error.message)?.[0] ?? ''
}

/** Whether an error says that the session must end. */
export function isFatal(error: unknown): boolean {
  return isReply(error) && FATAL.has(wordOf(error))
}

/** What Redis refused and why, for people; `null` for what is no refusal. */
export function refusalOf(error: unknown): string | null {
  if (!isReply(error)) return null
  const advice = ADVICE[wordOf(error)]
  return advice === undefined ? error.message : `${error.message} (${advice})`
}

/** An error as it is to be told: with advice where there is one. */
export function explained(error: unknown): unknown {
  const refusal = refusalOf(error)
  return refusal === null ? error : new Error(refusal, { cause: error })
}
