/** Many messages at once, or spread over some time, through the bulk route. */
import { failureText } from './api.js'
import { groupNameProblem } from './publish.js'

const MOST_MESSAGES = 100_000
/** Lines a request: a few hundred kilobytes at most, within the hub's default limit for a body. */
const LINES_A_REQUEST = 1_000
/** A spread burst is cut into this many requests a second. */
const REQUESTS_A_SECOND = 5

export class BurstForm {
  #form = document.getElementById('burst')
  #count = document.getElementById('burst-count')
  #seconds = document.getElementById('burst-seconds')
  #button = document.getElementById('burst-button')
  #progress = document.getElementById('burst-progress')
  #status = document.getElementById('burst-status')
  #api
  #group
  #onRefused
  #running = null

  /** @param options `api`, `group()` that says where to, and `onRefused(error)` for answers that say no */
  constructor({ api, group, onRefused }) {
    this.#api = api
    this.#group = group
    this.#onRefused = onRefused
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault()
      if (this.#running) this.#running.abort()
      else this.#start()
    })
  }

  async #start() {
    const count = this.#count.valueAsNumber
    const problem = countProblem(count)
    this.#count.setAttribute('aria-invalid', String(problem !== null))
    const firstProblem = problem ?? groupNameProblem(this.#group())
    if (firstProblem !== null) {
      this.#show('bad', firstProblem)
      return
    }
    this.#running = new AbortController()
    this.#button.textContent = 'Stop'
    this.#progress.value = 0
    this.#progress.hidden = false
    this.#show('', '')
    await this.#run(this.#group(), count, Number(this.#seconds.value), this.#running.signal)
    this.#running = null
    this.#button.textContent = 'Send'
    this.#progress.hidden = true
  }

  async #run(group, count, seconds, signal) {
    const burst = { group, count, signal, sent: 0, failed: 0, reason: '', startedAt: performance.now() }
    try {
      for (const batch of batches(count, seconds)) {
        // The clock decides when a batch is due, so that slow answers do not stretch the whole.
        await waitUntil(burst.startedAt + batch.atMs, signal)
        await this.#sendBatch(burst, batch)
      }
      this.#showResult(burst)
    } catch (error) {
      if (signal.aborted) {
        this.#show('', `Stopped after ${number(burst.sent)}.`)
        return
      }
      this.#show('bad', `${failureText(error)} ${number(burst.sent)} were sent before.`)
      this.#onRefused(error)
    }
  }

  async #sendBatch(burst, { first, size }) {
    const publications = Array.from({ length: size }, (_, i) => ({
      groups: [burst.group],
      message: { type: 'playground.burst', number: first + i, of: burst.count },
    }))
    const { results } = await this.#api.publishMany(publications, burst.signal)
    const errors = results.flatMap(({ error }) => (error ? [error] : []))
    burst.sent += size - errors.length
    burst.failed += errors.length
    burst.reason ||= errors[0]?.detail ?? errors[0]?.message ?? ''
    this.#progress.value = (burst.sent + burst.failed) / burst.count
  }

  #showResult({ sent, failed, reason, startedAt }) {
    const ms = Math.max(1, Math.round(performance.now() - startedAt))
    const took = ms < 1_000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`
    if (failed === 0) this.#show('good', `${number(sent)} published in ${took}.`)
    else this.#show('bad', `${number(sent)} published, ${number(failed)} refused. ${reason}`)
  }

  #show(kind, text) {
    this.#status.className = `status ${kind}`
    this.#status.textContent = text
  }
}

function countProblem(count) {
  if (Number.isInteger(count) && count >= 1 && count <= MOST_MESSAGES) return null
  return `Enter a whole number from 1 to ${number(MOST_MESSAGES)}.`
}

/** `{ first, size, atMs }` for each request: as large as allowed at once, or evenly over the time. */
function* batches(count, seconds) {
  const size = seconds === 0 ? LINES_A_REQUEST : Math.ceil(count / (seconds * REQUESTS_A_SECOND))
  const total = Math.ceil(count / size)
  for (let i = 0; i < total; i++) {
    const first = i * size + 1
    yield { first, size: Math.min(size, count - first + 1), atMs: (i / total) * seconds * 1000 }
  }
}

function waitUntil(time, signal) {
  const waitMs = time - performance.now()
  if (waitMs <= 0) return undefined
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, waitMs)
    signal.addEventListener('abort', stop, { once: true })
  })
}

function number(value) {
  return value.toLocaleString('en')
}
