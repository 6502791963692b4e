/** The form that publishes one message, written as text or as JSON. */
import { failureText } from './api.js'
import { isGroupName, NAME_RULE } from './places.js'

const EXAMPLE_TEXT = 'Hello from the playground'

export class PublishForm {
  #form = document.getElementById('publish')
  #group = document.getElementById('publish-group')
  #body = document.getElementById('publish-body')
  #status = document.getElementById('publish-status')
  #api
  #onRefused
  #suggestedGroup = ''
  /** What stands in each of the two modes; JSON begins as the message that the text would have made. */
  #drafts = { text: EXAMPLE_TEXT, json: null }
  #mode = 'text'

  /** @param options `api`, and `onRefused(error)` for answers that say no */
  constructor({ api, onRefused }) {
    this.#api = api
    this.#onRefused = onRefused
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault()
      this.#publish()
    })
    this.#body.addEventListener('keydown', (event) => this.#keyPressed(event))
    this.#body.addEventListener('input', () => this.#showPreview())
    for (const radio of this.#form.elements.mode) radio.addEventListener('change', () => this.#modeChanged())
    // A reload may have kept the choice of before.
    this.#mode = this.#form.elements.mode.value
    this.#showMode()
  }

  /** The group to publish to, `''` when the field is empty. */
  get group() {
    return this.#group.value.trim()
  }

  /** Fills in the group, unless somebody wrote another one there. */
  suggestGroup(name) {
    if (this.#group.value === this.#suggestedGroup) this.#group.value = name
    this.#suggestedGroup = name
  }

  get #isJson() {
    return this.#mode === 'json'
  }

  #keyPressed(event) {
    if (event.key !== 'Enter' || event.isComposing || event.shiftKey) return
    // Text is sent like a chat's; JSON has lines of its own.
    if (this.#isJson && !event.ctrlKey && !event.metaKey) return
    event.preventDefault()
    this.#form.requestSubmit()
  }

  #modeChanged() {
    this.#drafts[this.#mode] = this.#body.value
    this.#mode = this.#form.elements.mode.value
    this.#showMode()
    this.#show('', '')
  }

  #showMode() {
    if (this.#isJson) this.#drafts.json ??= JSON.stringify(textMessage(this.#drafts.text), null, 2)
    this.#body.value = this.#drafts[this.#mode]
    document.getElementById('publish-body-label').textContent = this.#isJson ? 'Message' : 'Text'
    this.#body.classList.toggle('code', this.#isJson)
    this.#body.spellcheck = !this.#isJson
    this.#showPreview()
  }

  #showPreview() {
    document.getElementById('publish-preview').textContent = this.#isJson
      ? 'Ctrl or ⌘ with Enter publishes'
      : JSON.stringify(textMessage(this.#body.value))
  }

  async #publish() {
    const groupProblem = groupNameProblem(this.group)
    this.#group.setAttribute('aria-invalid', String(groupProblem !== null))
    const { message, problem } = this.#isJson ? parseMessage(this.#body.value) : textResult(this.#body.value)
    this.#body.setAttribute('aria-invalid', String(problem !== undefined))
    const firstProblem = groupProblem ?? problem
    if (firstProblem !== undefined) {
      this.#show('bad', firstProblem)
      ;(groupProblem === null ? this.#body : this.#group).focus()
      return
    }
    await this.#send(this.group, message)
  }

  async #send(group, message) {
    const startedAt = performance.now()
    try {
      const { cursor } = await this.#api.publish(group, message)
      const took = `${Math.max(1, Math.round(performance.now() - startedAt))} ms`
      this.#show('good', `Published in ${took}. Cursor: ${cursor ?? 'none, the group keeps no history'}.`)
    } catch (error) {
      this.#show('bad', failureText(error))
      this.#onRefused(error)
    }
  }

  #show(kind, text) {
    this.#status.className = `status ${kind}`
    this.#status.textContent = text
  }
}

/** @returns what is wrong with the name of a group, or `null` */
export function groupNameProblem(name) {
  if (name === '') return 'Which group? Enter its name.'
  return isGroupName(name) ? null : `This cannot name a group. Use ${NAME_RULE}.`
}

function textMessage(text) {
  return { type: 'chat.message', text }
}

function textResult(text) {
  return text === ''
    ? { problem: 'There is nothing to publish yet: enter a text.' }
    : { message: textMessage(text) }
}

/** @returns `{ message }`, or `{ problem }` with what is wrong and what is allowed */
function parseMessage(json) {
  let message
  try {
    message = JSON.parse(json)
  } catch (error) {
    return { problem: `This is not JSON: ${error.message}` }
  }
  if (message === null || typeof message !== 'object' || Array.isArray(message)) {
    return { problem: 'A message is a JSON object, such as {"type":"chat.message"}.' }
  }
  if (typeof message.type !== 'string') {
    return { problem: 'A message needs a "type" that is a string, such as "chat.message".' }
  }
  return { message }
}
