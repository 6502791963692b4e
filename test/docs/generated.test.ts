import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ERRORS } from '../../src/errors.ts'
import { errorsMarkdown } from '../../src/errors-document.ts'
import { configurationMarkdown } from '../../src/server/config/document.ts'
import { GROUP_RULE_SETTINGS, SETTINGS } from '../../src/server/config/settings.ts'

const page = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

describe('generated pages', () => {
  // When these fail: npm run build && node scripts/generate-docs.mjs
  test('docs/configuration.md is what the schema says', () => {
    expect(page('configuration.md')).toBe(configurationMarkdown())
  })

  test('docs/errors.md is what the error table says', () => {
    expect(page('errors.md')).toBe(errorsMarkdown())
  })

  test('every setting has a row with its variable, its flag and a meaning', () => {
    const lines = configurationMarkdown().split('\n')
    for (const { key, variable, flag, description } of SETTINGS) {
      const row = lines.find((line) => line.startsWith(`| \`${key}\` |`))
      expect(row, key).toContain(`\`${variable}\``)
      if (flag !== null) expect(row, key).toContain(`\`${flag}\``)
      expect(description, key).toMatch(/\.$/)
      expect(row, key).toContain(description)
    }
    for (const { description } of GROUP_RULE_SETTINGS) expect(lines.join('\n')).toContain(description)
  })

  test('every error code has one row', () => {
    const lines = errorsMarkdown().split('\n')
    for (const code of Object.keys(ERRORS)) {
      expect(
        lines.filter((line) => line.startsWith(`| \`${code}\` |`)),
        code,
      ).toHaveLength(1)
    }
  })

  test('no cell breaks its table', () => {
    for (const text of [errorsMarkdown(), configurationMarkdown()]) {
      const tables = text.split('\n\n').filter((block) => block.startsWith('| '))
      expect(tables.length).toBeGreaterThan(2)
      for (const table of tables) {
        const columns = table
          .trimEnd()
          .split('\n')
          .map((line) => line.split(/(?<!\\)\|/).length)
        expect(new Set(columns).size).toBe(1)
      }
    }
  })
})
