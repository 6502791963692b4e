// @ts-check
/** Bar charts as SVG, without a library: a group of bars for each case, a bar for each subject, whiskers from the lowest to the highest repeat. */
import { figure } from './table.mjs'

/** @typedef {import('../types.d.ts').Row} Row */

/** Distinct in shades of grey too, and the hub stands out. @type {Readonly<Record<Row['kind'], string>>} */
const COLORS = { hub: '#0b6bcb', control: '#9aa5b1', peer: '#d9822b' }

const WIDTH = 760
const LABEL = 190
const VALUE = 110
const BAR = 18
const GAP = 5
const TITLE = 30

/** @param {string} text */
export function escaped(text) {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/**
 * One chart of one case.
 *
 * @param {string} title
 * @param {readonly Row[]} rows of one unit
 * @returns {string} an `svg` element that stands alone
 */
function barChart(title, rows) {
  const height = TITLE + rows.length * (BAR + GAP) + GAP + (isWide(rows) ? 14 : 0)
  const scale = scaleOf(rows)
  const bars = rows.map((row, i) => bar(row, TITLE + i * (BAR + GAP), scale)).join('')
  const note = isWide(rows) ? text(LABEL, height - 4, 'logarithmic scale', 'fill="#666" font-size="11"') : ''
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="13"><title>${escaped(title)}</title><rect width="100%" height="100%" fill="#fff"/>${text(0, 18, title, 'font-weight="600" fill="#222"')}${bars}${note}</svg>`
}

/** More than a factor of fifty between the longest and the shortest would leave nothing to see of the latter. @param {readonly Row[]} rows */
function isWide(rows) {
  const values = rows.map(({ median }) => median).filter((value) => value > 0)
  return Math.max(...values) > 50 * Math.min(...values)
}

/** @param {readonly Row[]} rows @returns {(value: number) => number} length of a bar */
function scaleOf(rows) {
  const room = WIDTH - LABEL - VALUE
  const highest = Math.max(...rows.map(({ high }) => high))
  if (!isWide(rows)) return (value) => Math.max(0, (value / highest) * room)
  const lowest = Math.min(...rows.map(({ low }) => low).filter((value) => value > 0)) / 2
  return (value) => (value <= lowest ? 0 : (Math.log(value / lowest) / Math.log(highest / lowest)) * room)
}

/** @param {Row} row @param {number} y @param {(value: number) => number} scale */
function bar({ subject, kind, median, low, high, unit }, y, scale) {
  const middle = y + BAR / 2
  const [from, to] = [LABEL + scale(low), LABEL + scale(high)]
  const whisker = `<path d="M${from.toFixed(1)} ${middle}H${to.toFixed(1)}" stroke="#222" stroke-width="1.2"/>`
  return [
    text(LABEL - 8, middle + 4.5, subject, 'text-anchor="end" fill="#222"'),
    `<rect x="${LABEL}" y="${y}" width="${scale(median).toFixed(1)}" height="${BAR}" fill="${COLORS[kind]}"/>`,
    low < high ? whisker : '',
    text(Math.max(to, LABEL) + 6, middle + 4.5, `${figure(median)} ${unit.split('/')[0]}`, 'fill="#222"'),
  ].join('')
}

/** @param {number} x @param {number} y @param {string} content @param {string} attributes */
function text(x, y, content, attributes) {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(content)}</text>`
}

/** The charts of a result, one for each case. @param {import('../types.d.ts').Result} result @returns {{ name: string, svg: string }[]} */
export function chartsOf({ scenario, title, rows }) {
  const cases = [...new Set(rows.map((row) => row.case))]
  return cases.map((name) => {
    const own = rows.filter((row) => row.case === name)
    return {
      name: `${scenario}-${name}`.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase(),
      svg: barChart(`${title.split(':')[0]}, ${name}: ${own[0]?.unit ?? ''}`, own),
    }
  })
}
