import { type Clock, systemClock } from '../clock.ts'
import { Refusal } from '../errors.ts'
import { RateTable } from '../rate-table.ts'
import { networkOf, type Rates, rateOf } from '../rates.ts'
import { AddressList } from '../transports/trusted-proxies.ts'

/** Wrong keys by address, at the rate at which clients may fail to authenticate: nobody can try keys faster than that. */
export class KeyFailures {
  readonly #table: RateTable<string> | null
  readonly #exempt: AddressList

  constructor(rates: Rates, clock: Clock = systemClock) {
    const rate = rateOf(rates, 'failedAuthenticationsPerAddress')
    this.#table = rate === null ? null : new RateTable(rate, clock, rates.maxTracked)
    this.#exempt = new AddressList(rates.exemptAddresses)
  }

  /** @throws {Refusal} `rate-exceeded` where there were too many */
  check(address: string): void {
    const excess = this.#isExempt(address) ? null : (this.#table?.look(networkOf(address), 1) ?? null)
    if (excess === null) return
    const { waitMs: retryAfterMs } = excess
    throw new Refusal('rate-exceeded', `Too many wrong keys from this address: retry in ${retryAfterMs} ms`, {
      retryAfterMs,
    })
  }

  /** A key was wrong. */
  failed(address: string): void {
    if (!this.#isExempt(address)) this.#table?.charge(networkOf(address), 1)
  }

  /** A socket of the file system has no address. */
  #isExempt(address: string): boolean {
    return address === '' || this.#exempt.has(address)
  }
}
