/** The flags of `serve` and `check-config`: the ones that the configuration's schema names. */
import { type Command, Option } from 'commander'
import { loadConfig } from '../server/config/load.ts'
import type { Config } from '../server/config/schema.ts'
import { SETTINGS, type Setting } from '../server/config/settings.ts'
import type { Flags } from '../server/config/variables.ts'
import { EXIT, Failure } from './failure.ts'

/** Adds `--config` and a flag for each setting that has one. */
export function addConfigFlags(command: Command): void {
  command.option(
    '--config <file>',
    'Configuration file; else groupcast.config.json or .yaml in the working directory.',
  )
  for (const setting of SETTINGS)
    if (setting.flag !== null) command.addOption(optionOf(setting.flag, setting))
}

function optionOf(flag: string, { kind, flagMeaning, fallback }: Setting): Option {
  const meaning = flagMeaning.replaceAll('`', '')
  if (kind === 'boolean') return new Option(flag, meaning)
  if (kind !== 'list') return new Option(flag, `${meaning} (default: ${JSON.stringify(fallback)})`)
  const collect = (value: string, values: string[] | undefined) => [...(values ?? []), value]
  return new Option(flag, `${meaning} Repeatable.`).argParser(collect)
}

/**
 * The configuration that a command's flags, the environment and the file give.
 *
 * @throws {Failure} (wrong usage) with every problem
 */
export function configOf(command: Command): Config {
  const loaded = loadConfig({ flags: flagsOf(command), env: process.env, cwd: process.cwd() })
  if (!loaded.ok) {
    throw new Failure(
      EXIT.usage,
      loaded.problems.map(({ text }) => text),
    )
  }
  return loaded.config
}

/** What was on the command line, by key of the configuration: commander's own defaults would hide variables and files. */
function flagsOf(command: Command): Flags {
  const keys = new Map(SETTINGS.map(({ flag, key }) => [flag, key]))
  const given = command.options
    .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    .map((option) => [
      keys.get(option.flags) ?? option.attributeName(),
      command.getOptionValue(option.attributeName()),
    ])
  return Object.fromEntries(given)
}
