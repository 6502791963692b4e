/** The chosen groups: names as chips, kept in the page's address so that a link carries them. */
import { groupsQuery, isGroupName, MAX_GROUPS, NAME_RULE } from './places.js'

const HINT = 'Enter adds a name. The address of this page carries the groups: share it, or bookmark it.'
const DEFAULT_GROUPS = ['lobby']
/** What stands between names that are typed or pasted together; none of it can be part of one. */
const SEPARATOR = /[\s,;]+/
/** Enough to choose from; a hub may have many thousands. */
const MOST_SUGGESTIONS = 100

export class GroupPicker {
  #names
  #counts = new Map()
  #onChange
  #chips = document.getElementById('chips')
  #input = document.getElementById('group-input')
  #hint = document.getElementById('groups-hint')
  #suggestions = document.getElementById('known-groups')

  constructor({ onChange }) {
    this.#onChange = onChange
    this.#names = namesFromAddress()
    this.#input.addEventListener('keydown', (event) => this.#keyPressed(event))
    this.#input.addEventListener('input', () => this.#typed())
    this.#input.addEventListener('change', () => this.commit())
    this.#input.closest('.chips-field').addEventListener('click', (event) => {
      if (!event.target.closest('button')) this.#input.focus()
    })
    this.#hint.textContent = HINT
    this.#draw()
  }

  get names() {
    return [...this.#names]
  }

  /** Adds what stands in the field. @returns whether nothing was wrong with it */
  commit() {
    const names = this.#input.value.split(SEPARATOR).filter((name) => name !== '')
    const problem = this.#problemWith(names)
    this.#showProblem(problem)
    if (problem !== null) return false
    this.#input.value = ''
    const added = names.filter((name, i) => !this.#names.includes(name) && names.indexOf(name) === i)
    if (added.length > 0) this.#change([...this.#names, ...added])
    return true
  }

  /** Shows how many are connected to each group. @param counts from a group's name to its counts by transport */
  showCounts(counts) {
    this.#counts = counts
    for (const chip of this.#chips.children) showChipCounts(chip, counts.get(chip.dataset.group))
    const names = [...new Set([...this.#names, ...counts.keys()])].slice(0, MOST_SUGGESTIONS)
    const known = [...this.#suggestions.children].map((option) => option.value)
    // An open list of suggestions closes when its options are replaced.
    if (names.join() !== known.join()) this.#suggestions.replaceChildren(...names.map(suggestion))
  }

  #problemWith(names) {
    const bad = names.find((name) => !isGroupName(name))
    if (bad !== undefined) return `“${shortened(bad)}” cannot name a group. Use ${NAME_RULE}.`
    if (new Set([...this.#names, ...names]).size > MAX_GROUPS)
      return `At most ${MAX_GROUPS} groups a connection.`
    return null
  }

  #showProblem(problem) {
    const text = problem ?? HINT
    if (this.#hint.textContent !== text) this.#hint.textContent = text
    this.#hint.classList.toggle('bad', problem !== null)
    this.#input.setAttribute('aria-invalid', String(problem !== null))
  }

  #keyPressed(event) {
    if (event.isComposing) return
    if (event.key === 'Enter') {
      event.preventDefault()
      this.commit()
    } else if (event.key === 'Backspace' && this.#input.value === '' && this.#names.length > 0) {
      this.#change(this.#names.slice(0, -1))
    }
  }

  /** A separator at the end finishes a name. */
  #typed() {
    if (/[\s,;]$/.test(this.#input.value)) this.commit()
  }

  #change(names) {
    this.#names = names
    history.replaceState(null, '', names.length > 0 ? `?${groupsQuery(names)}` : location.pathname)
    this.#draw()
    this.#onChange()
  }

  #draw() {
    this.#chips.replaceChildren(...this.#names.map((name) => this.#chip(name)))
    this.showCounts(this.#counts)
  }

  #chip(name) {
    const chip = document.createElement('li')
    chip.className = 'chip'
    chip.dataset.group = name
    const remove = document.createElement('button')
    remove.type = 'button'
    remove.className = 'chip-remove'
    remove.setAttribute('aria-label', `Remove ${name}`)
    remove.textContent = '×'
    remove.addEventListener('click', () => {
      this.#change(this.#names.filter((other) => other !== name))
      this.#input.focus()
    })
    chip.append(textSpan('chip-name', name), textSpan('chip-counts', ''), remove)
    return chip
  }
}

function showChipCounts(chip, connections = { websocket: 0, sse: 0, ndjson: 0 }) {
  const total = connections.websocket + connections.sse + connections.ndjson
  const counts = chip.querySelector('.chip-counts')
  counts.replaceChildren(total.toLocaleString('en'), textSpan('visually-hidden', ' connections'))
  counts.title = `${connections.websocket} over WebSocket, ${connections.sse} over SSE, ${connections.ndjson} over ndjson`
}

function namesFromAddress() {
  const given = new URLSearchParams(location.search).getAll('group').filter(isGroupName)
  const names = [...new Set(given)].slice(0, MAX_GROUPS)
  return names.length > 0 ? names : DEFAULT_GROUPS
}

function shortened(name) {
  return name.length > 40 ? `${name.slice(0, 39)}…` : name
}

function suggestion(name) {
  const option = document.createElement('option')
  option.value = name
  return option
}

function textSpan(className, text) {
  const span = document.createElement('span')
  span.className = className
  span.textContent = text
  return span
}
