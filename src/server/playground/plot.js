/**
 * A plot of the last minute with two mirrored halves: WebSocket above the line, SSE below, on one scale. What both
 * transports get alike is symmetrical, and neither ever hides the other.
 */

const WIDTH = 600
const HEIGHT = 200
const MIDDLE = HEIGHT / 2
/** Room above the highest point, for its line. */
const PEAK = MIDDLE - 4

export class MirrorPlot {
  #upper = half('websocket')
  #lower = half('sse')
  #topLabel = label('plot-top')
  #bottomLabel = label('plot-bottom')
  #least
  #isStepped
  #unit

  /** @param options `title` for those who cannot see it; `least`, the smallest top of the scale; `unit` of its labels */
  constructor(host, { title, least, unit = '', isStepped = false }) {
    this.#least = least
    this.#unit = unit
    this.#isStepped = isStepped
    const svg = element('svg', {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': `${title}, the last 60 seconds: WebSocket above the line, SSE below it`,
    })
    const grid = [PEAK, PEAK / 2].flatMap((offset) => [
      line(MIDDLE - offset, 'grid'),
      line(MIDDLE + offset, 'grid'),
    ])
    svg.append(...grid, ...this.#upper.paths, ...this.#lower.paths, line(MIDDLE, 'base'))
    const times = document.createElement('div')
    times.className = 'plot-times'
    times.append(label('', '60 s ago'), label('', '30 s'), label('', 'now'))
    const frame = document.createElement('div')
    frame.className = 'plot-frame'
    frame.append(svg, this.#topLabel, this.#bottomLabel)
    host.append(frame, times)
  }

  /** Draws both halves; lists of equal length, `null` where nothing is known. */
  draw(upper, lower) {
    const top = niceTop(Math.max(this.#least, ...upper, ...lower))
    const text = `${top.toLocaleString('en')}${this.#unit}`
    this.#topLabel.textContent = text
    this.#bottomLabel.textContent = text
    this.#drawHalf(this.#upper, upper, -PEAK / top)
    this.#drawHalf(this.#lower, lower, PEAK / top)
  }

  #drawHalf({ area, line }, values, scale) {
    const runs = pathRuns(values, scale, this.#isStepped)
    line.setAttribute('d', runs.map(({ path }) => path).join(''))
    area.setAttribute(
      'd',
      runs.map(({ path, from, to }) => `${path}L${to} ${MIDDLE}L${from} ${MIDDLE}Z`).join(''),
    )
  }
}

/** The next of 1, 2, 5, 10, 20, 50, …: a scale that changes seldom and reads well. */
function niceTop(value) {
  const magnitude = 10 ** Math.floor(Math.log10(value))
  const factor = [1, 2, 5, 10].find((candidate) => candidate * magnitude >= value) ?? 10
  return factor * magnitude
}

/** One path for each run of known values, with where it begins and ends. */
function pathRuns(values, scale, isStepped) {
  const step = WIDTH / (values.length - 1)
  const runs = []
  let run = null
  values.forEach((value, i) => {
    if (value === null) {
      run = null
      return
    }
    const x = round(i * step)
    const y = round(MIDDLE + value * scale)
    if (run === null) {
      run = { path: `M${x} ${y}`, from: x, to: x }
      runs.push(run)
      return
    }
    run.path += isStepped ? `H${x}V${y}` : `L${x} ${y}`
    run.to = x
  })
  return runs
}

function round(number) {
  return Math.round(number * 10) / 10
}

function half(transport) {
  const area = element('path', { class: `area ${transport}` })
  const line = element('path', { class: `line ${transport}` })
  return { area, line, paths: [area, line] }
}

function line(y, className) {
  return element('path', { class: className, d: `M0 ${y}H${WIDTH}` })
}

function label(className, text = '') {
  const span = document.createElement('span')
  span.className = className
  span.textContent = text
  return span
}

function element(name, attributes) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', name)
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value)
  return svg
}
