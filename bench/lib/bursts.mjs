// @ts-check
/**
 * Messages a turn: 1 and 10 are sent in the process, as handlers do; 100 through the HTTP API, as applications do that publish in bulk.
 */
export const BURSTS = [
  { perTurn: 1, overHttp: false },
  { perTurn: 10, overHttp: false },
  { perTurn: 100, overHttp: true },
]
