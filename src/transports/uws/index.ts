/** `groupcast/transports/uws`: the server back end on uWebSockets.js, which the application installs and hands over. */
export { type UwsBackendOptions, uwsBackend } from './backend.ts'
export type { UwsApp, UwsModule } from './uws.ts'
export { importUws } from './uws.ts'
