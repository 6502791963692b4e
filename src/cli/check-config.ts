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
  const secrets = SETTINGS.filter(({ isSecret }) => isSecret).map(({ key }) => key as keyof Config)
  const stars = secrets.map((key) => [key, (config[key] as readonly string[]).map(() => '***')])
  return { ...config, layer: withoutPassword(config.layer), ...Object.fromEntries(stars) }
}
