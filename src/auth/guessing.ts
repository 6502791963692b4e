/** What whoever guesses secrets tries first: the words of secrets, and keys that lie side by side. */

/** Words of secrets, and of what they are for. They may be written with digits in place of letters. */
const WORDS: readonly string[] = [
  ...['secret', 'password', 'passphrase', 'passwd', 'token', 'jsonwebtoken', 'access', 'refresh', 'session'],
  ...[
    'private',
    'public',
    'shared',
    'master',
    'signing',
    'signature',
    'encryption',
    'crypto',
    'hmac',
    'hs256',
  ],
  ...[
    'auth',
    'authentication',
    'authorization',
    'security',
    'secure',
    'safe',
    'admin',
    'administrator',
    'root',
  ],
  ...[
    'user',
    'login',
    'welcome',
    'letmein',
    'hello',
    'world',
    'server',
    'client',
    'service',
    'backend',
    'hub',
  ],
  ...['application', 'project', 'company', 'website', 'groupcast', 'localhost', 'development', 'developer'],
  ...['local', 'test', 'testing', 'tests', 'demo', 'staging', 'production', 'prod', 'debug', 'docker'],
  ...['example', 'sample', 'default', 'dummy', 'placeholder', 'temporary', 'changed', 'change', 'replace'],
  ...[
    'super',
    'very',
    'really',
    'extra',
    'ultra',
    'strong',
    'random',
    'string',
    'unique',
    'hidden',
    'unknown',
  ],
  ...[
    'long',
    'longer',
    'enough',
    'least',
    'characters',
    'character',
    'chars',
    'bytes',
    'bits',
    'length',
    'minimum',
  ],
  ...[
    'please',
    'should',
    'must',
    'never',
    'always',
    'nobody',
    'knows',
    'guess',
    'share',
    'keep',
    'this',
    'that',
  ],
  ...[
    'with',
    'your',
    'some',
    'here',
    'value',
    'text',
    'code',
    'data',
    'iloveyou',
    'monkey',
    'dragon',
    'azerty',
  ],
  ...[
    'insecure',
    'django',
    'express',
    'spring',
    'laravel',
    'symfony',
    'flask',
    'fastapi',
    'rails',
    'node',
    'react',
  ],
]

/** Words too short to mean anything in the middle of random letters: they count beside others only. */
const SHORT_WORDS: readonly string[] = [
  ...[
    'key',
    'jwt',
    'api',
    'app',
    'web',
    'dev',
    'env',
    'the',
    'for',
    'and',
    'not',
    'use',
    'new',
    'old',
    'abc',
    'aes',
  ],
  ...[
    'my',
    'our',
    'is',
    'it',
    'in',
    'at',
    'to',
    'of',
    'be',
    'an',
    'so',
    'do',
    'me',
    'no',
    'on',
    'or',
    'by',
    'are',
  ],
  ...['foo', 'bar', 'baz', 'you', 'one', 'two', 'can', 'has', 'was', 'who', 'any', 'all', 'sha', 'v1', 'v2'],
]

/** Rows and columns of keyboards, and pairs that are counted up. Other sequences are found by their steps. */
const ROWS: readonly string[] = [
  'qwertyuiopasdfghjklzxcvbnm',
  'qwertzuiopasdfghjklyxcvbnm',
  'azertyuiopqsdfghjklmwxcvbn',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p',
  '1q2w3e4r5t6y7u8i9o0p',
  'q1w2e3r4t5y6u7i8o9p0',
  '00112233445566778899aabbccddeeff',
  '!@#$%^&*()_+',
].flatMap((row) => [row, [...row].reverse().join('')])
const LEAST_RUN = 4

/** Digits and signs that stand for letters; of shorter words random digits in hexadecimal have too many. */
const LOOKALIKES: Readonly<Record<string, string>> = {
  a: '4@',
  e: '3',
  i: '1!',
  l: '1',
  o: '0',
  s: '5$',
  t: '7',
}
const LEAST_LOOKALIKE = 6

/** Stands for what was found: no text has it whose characters are bytes. */
const FOUND = '\u{e000}'
/** What stands beside what was found: short words, a few signs, digits of years and counts. */
const BESIDE = `(?:${longestFirst(SHORT_WORDS).join('|')}|[-_ .,:;/!?+=*#@&|~'"()]|(?<=[-_ .])[0-9]{1,4}(?![0-9]))`
const WORDS_PATTERN = new RegExp(longestFirst(WORDS).map(spellings).join('|'), 'g')
const FOUND_PATTERN = new RegExp(`${BESIDE}*${FOUND}(?:${BESIDE}|${FOUND})*`, 'g')

/**
 * What is left of a text, whose characters are bytes, without words of secrets and sequences: of random text nearly all.
 *
 * @returns in lower case
 */
export function withoutGuessable(text: string): string {
  return withoutRuns(text.toLowerCase()).replace(WORDS_PATTERN, FOUND).replace(FOUND_PATTERN, '')
}

/** With {@link FOUND} in the place of sequences. */
function withoutRuns(text: string): string {
  let rest = ''
  for (let at = 0; at < text.length; ) {
    const length = Math.max(steadyLength(text, at), rowLength(text, at))
    rest += length < LEAST_RUN ? text.charAt(at) : FOUND
    at += length < LEAST_RUN ? 1 : length
  }
  return rest
}

/** How many characters from there on go up by one, down by one, or stay the same. */
function steadyLength(text: string, at: number): number {
  const step = text.charCodeAt(at + 1) - text.charCodeAt(at)
  if (!(Math.abs(step) <= 1)) return 1
  let end = at + 2
  while (text.charCodeAt(end) - text.charCodeAt(end - 1) === step) end++
  return end - at
}

/** How many characters from there on are side by side in one of the {@link ROWS}. */
function rowLength(text: string, at: number): number {
  let length = LEAST_RUN
  const isIn = () => ROWS.some((row) => row.includes(text.slice(at, at + length)))
  while (at + length <= text.length && isIn()) length++
  return length - 1
}

/** A word in any of the ways in which it is written. */
function spellings(word: string): string {
  if (word.length < LEAST_LOOKALIKE) return word
  return [...word].map((letter) => `[${letter}${LOOKALIKES[letter] ?? ''}]`).join('')
}

/** Of alternatives the first that fits is taken. */
function longestFirst(words: readonly string[]): string[] {
  return [...words].sort((a, b) => b.length - a.length)
}
