/** `groupcast check-config`: what `serve` would run with, or what is wrong with it. */
import type { Command } from 'commander'
import type { Config } from '../server/config/schema.ts'
import { SETTINGS } from '../server/config/settings.ts'
import { withoutPassword } from '../server/layer-url.ts'
import { addConfigFlags, configOf } from './config-flags.ts'
import { endWithReader, print } from './output.ts'

/** Adds the command to the program. */
export function addCheckConfig(program: Command): void {
  const command = program
    .command('check-config')
    .description('Check the configuration that serve would use, and print it; takes the flags of serve.')
  addConfigFlags(command)
  command.action(async () => {
    const config = configOf(command)
    endWithReader()
    await print('ok')
    await print(JSON.stringify(masked(config), null, 2))
  })
}

/** The configuration with stars in place of each secret. */
function masked(config: Config): object {
  const shown = { ...config, layer: withoutPassword(config.layer) }
  return withStars(shown as unknown as Record<string, unknown>, '') as object
}

const SECRETS: ReadonlySet<string> = new Set(
  SETTINGS.filter(({ isSecret }) => isSecret).map(({ key }) => key),
)

function withStars(value: unknown, key: string): unknown {
  if (SECRETS.has(key)) return starred(value)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const entries = Object.entries(value).map(([name, inner]) => [
    name,
    withStars(inner, key === '' ? name : `${key}.${name}`),
  ])
  return Object.fromEntries(entries)
}

/** Texts become stars; of objects, those that can be secret. */
function starred(value: unknown): unknown {
  if (typeof value === 'string') return '***'
  if (Array.isArray(value)) return value.map(starred)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([name, inner]) => [
    name,
    name === 'key' || name === 'secret' ? '***' : inner,
  ])
  return Object.fromEntries(entries)
}
