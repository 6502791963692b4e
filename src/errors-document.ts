/** `docs/errors.md`, from the error table. */
import { type Audience, ERRORS, type ErrorEntry } from './errors.ts'

/** The text of `docs/errors.md`. */
export function errorsMarkdown(): string {
  return INTRODUCTION + AUDIENCES.map(([audience, text]) => section(audience, text)).join('')
}

const INTRODUCTION = `# Errors

<!-- Made from src/errors.ts by scripts/generate-docs.mjs: edit that, not this. -->

Every error has a code. Thrown errors carry it as \`error.code\`; HTTP answers are problem documents (RFC 9457, type
\`application/problem+json\`) with a member \`code\`; replies carry it as \`error.code\`; a WebSocket closes with the close code, and
streams over HTTP end with a close object of the same code.

Close codes 4000–4499 mean "reconnect", 4500–4999 mean "do not". "Come back" says whether a client should reconnect or repeat
its request, after a random wait. Where it is known how long to wait at least, replies, problem documents and close objects say so in
\`retryAfterMs\`, HTTP answers in \`Retry-After\`, and the reason of a WebSocket's close frame ends with \`retry in 1200 ms\`.
`

const AUDIENCES: readonly (readonly [Audience, string])[] = [
  ['client', "A client's fault: it is told, and the application does not see an exception."],
  [
    'infrastructure',
    'The fault of the server or of what it depends on: it rejects the promise that somebody awaits, else it goes to `onError`.',
  ],
  ['developer', "Misuse by the application's code: thrown at the call."],
]

const HEAD = `| Code | Close code | HTTP status | Come back | What it says | What to do |
| --- | --- | --- | --- | --- | --- |
`

function section(audience: Audience, text: string): string {
  const entries: [string, ErrorEntry][] = Object.entries(ERRORS)
  const rows = entries
    .filter(([, entry]) => entry.audience === audience)
    .map(([code, entry]) => row(code, entry))
  const title = audience.charAt(0).toUpperCase() + audience.slice(1)
  return `\n## ${title}\n\n${text}\n\n${HEAD}${rows.join('')}`
}

function row(code: string, { closeCode, httpStatus, comeBack, message, remedy }: ErrorEntry): string {
  const cells = [`\`${code}\``, closeCode, httpStatus, comeBack ? 'yes' : 'no', message, remedy]
  return `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |\n`
}
