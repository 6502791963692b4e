/** `docs/configuration.md`, from the schema. */
import { GROUP_RULE_SETTINGS, SETTINGS, type Setting } from './settings.ts'

/** The text of `docs/configuration.md`. */
export function configurationMarkdown(): string {
  const flags = SETTINGS.filter(({ key }) => !/^(?:limits|auth|rates)\./.test(key))
  const rates = SETTINGS.filter(({ key }) => key.startsWith('rates.'))
  const auth = SETTINGS.filter(({ key }) => key.startsWith('auth.'))
  const limits = SETTINGS.filter(({ key }) => key.startsWith('limits.'))
  return `${INTRODUCTION}
## Keys

${table(['Key', 'Variable', 'Flag', 'Default', 'Meaning'], flags.map(row))}
## Tokens

Who clients are: [auth](auth.md) tells more. In the file these keys stand under \`auth\`. Without a key to check tokens with no client has an
identity.

${table(
  ['Key', 'Variable', 'Default', 'Meaning'],
  auth.map((setting) => row(setting).filter((_, column) => column !== 2)),
)}
## Limits

Bytes, counts and milliseconds, as the names say. Each can be set in the file, under \`limits\`, or by its variable.

${table(
  ['Key', 'Variable', 'Default', 'Meaning'],
  limits.map((setting) => row(setting).filter((_, column) => column !== 2)),
)}
## Rates

What clients may spend in a second, after a burst; \`false\` switches a rate off. [Rates](limits.md) tells what happens beyond them, and why these are the
defaults. Each can be set in the file, under \`rates\`, or by its variable.

${table(
  ['Key', 'Variable', 'Default', 'Meaning'],
  rates.map((setting) => row(setting).filter((_, column) => column !== 2)),
)}
## Rules for groups

\`groups\` is a list of rules; the first whose \`match\` fits a group decides. A group that no rule matches takes the defaults
below.

${table(['Key', 'Default', 'Meaning'], GROUP_RULE_SETTINGS.map(ruleRow))}
${CONCLUSION}`
}

const INTRODUCTION = `# Configuration of the server

<!-- Made from src/server/config/schema.ts by scripts/generate-docs.mjs: edit that, not this. -->

\`groupcast serve\` takes each setting from the first of these that has it:

1. a flag: \`--port 9000\`
2. a variable: \`GROUPCAST_PORT=9000\`
3. the file: the one that \`--config\` or \`GROUPCAST_CONFIG\` names, else \`groupcast.config.json\`, \`groupcast.config.yaml\` or
   \`groupcast.config.yml\` in the working directory (one of them, not two)
4. the default

The whole configuration is checked before the server starts, and every problem is reported at once: the key and where it was
set, the value, what is allowed. Keys and \`GROUPCAST_*\` variables that do not exist are problems too.
\`groupcast check-config\` does only that, and prints the configuration that \`serve\` would use.

\`\`\`json
{
  "port": 8000,
  "groups": [
    { "match": "chat.*", "send": "anyone", "history": { "count": 200 } },
    { "match": "team.*", "join": "token", "send": "token" },
    { "match": "internal.*", "join": "nobody" }
  ],
  "auth": { "jwksUrl": "https://login.example/jwks.json", "audience": ["chat"] },
  "allowedOrigins": ["https://app.example"],
  "limits": { "heartbeatMs": 15000 }
}
\`\`\`
`

const CONCLUSION = `## Values in variables and flags

- Lists of texts are separated by commas in a variable (\`GROUPCAST_ALLOWED_ORIGINS=https://a.example,https://b.example\`); a
  flag is repeated (\`--allowed-origin https://a.example --allowed-origin https://b.example\`).
- \`GROUPCAST_GROUPS\` is the list of rules as JSON, \`GROUPCAST_AUTH_KEYS\` that of the keys; lists of texts may be JSON too, as
  \`GROUPCAST_API_KEYS\` must be where keys have scopes.
- \`true\`, \`1\`, \`false\` and \`0\` are the booleans.
- Prefer a variable or the file for \`apiKeys\` and \`auth.secret\`: other users of the machine can see a program's flags.
- \`GROUPCAST_API_KEY\`, without the S, is the one key that \`groupcast publish\` sends, \`GROUPCAST_TOKEN\` the token that
  \`groupcast subscribe\` sends; the server reads neither.
- In Kubernetes a Service named \`groupcast\` puts \`GROUPCAST_PORT=tcp://…\` and other variables into the pods of its namespace:
  set \`enableServiceLinks: false\`, or name the Service otherwise.

## Addresses and keys

The server listens on loopback unless \`host\` says otherwise. A host that other machines can reach needs \`apiKeys\`; without them
the server does not start, unless \`insecure\` allows it.
`

function row({ key, variable, flag, fallback, description }: Setting): string[] {
  return [code(key), code(variable), flag === null ? '' : code(flag), defaultText(fallback), description]
}

function ruleRow({ key, fallback, description }: Setting): string[] {
  return [code(key.slice(key.indexOf('.') + 1)), defaultText(fallback), description]
}

function defaultText(fallback: unknown): string {
  return fallback === undefined ? 'required' : code(JSON.stringify(fallback))
}

function code(text: string): string {
  return `\`${text}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows]
  return lines
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`)
    .join('')
}
