// @ts-check
/** Results as text. */
import { missedTexts } from './bounds.mjs'

/** @typedef {import('../types.d.ts').Result} Result */
/** @typedef {import('../types.d.ts').Row} Row */

/** Three digits that matter, with thousands apart. @param {number} value */
export function figure(value) {
  if (!Number.isFinite(value)) return '–'
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toLocaleString('en', {
    minimumFractionDigits: Math.min(digits, 4),
    maximumFractionDigits: Math.min(digits, 4),
  })
}

/** @param {readonly (readonly string[])[]} lines the first is the head; the first two columns are words */
function columns(lines) {
  const widths = (lines[0] ?? []).map((_, i) => Math.max(...lines.map((line) => (line[i] ?? '').length)))
  return lines
    .map((line) =>
      line
        .map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Names of further figures, as they stand over a column. @type {Readonly<Record<string, string>>} */
const NAMES = {
  deliveriesPerSecond: 'deliveries/s',
  inTurnsPerSecond: 'deliveries/s, of both in turns',
  generatorUs: 'µs generator',
  serverBusy: 'server %',
  generatorBusy: 'generator %',
  cpuUsEach: 'µs CPU each',
  lastP50: 'last p50',
  lastP99: 'last p99',
  heapKilobytes: 'JS heap KB',
  p999: 'p99.9',
  rssMiB: 'RSS MiB',
  peakMiB: 'peak MiB',
  backlogMiB: 'backlog MiB',
  told: 'told dropped',
}

/** @param {string} key */
export function moreName(key) {
  return NAMES[key] ?? key
}

/** @param {string} key @param {number | undefined} value */
export function moreFigure(key, value) {
  if (value === undefined) return ''
  return key.endsWith('Busy') ? String(Math.round(value * 100)) : figure(value)
}

/** @param {Result} result */
export function resultText(result) {
  const { title, rows, targets, notes } = result
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row.more ?? {})))]
  const lines = [
    ['case', 'subject', 'median', 'low', 'high', 'unit', ...keys.map(moreName)],
    ...rows.map((row) => [
      row.case,
      row.subject,
      ...[row.median, row.low, row.high].map(figure),
      row.unit,
      ...keys.map((key) => moreFigure(key, row.more?.[key])),
    ]),
  ]
  const parts = [`\n${title}\n`, columns(lines)]
  if (targets.length > 0) parts.push('', columns([['case', 'target', 'is', ''], ...targets.map(targetLine)]))
  for (const note of [...missedTexts(result), ...notes]) parts.push(`  * ${note}`)
  return parts.join('\n')
}

/** @param {import('../types.d.ts').Target} target */
function targetLine({ case: name, text, value, isMet }) {
  return [name, text, figure(value), isMet ? 'met' : 'missed']
}
