/** All routes of the API, in the order of the description. */
import { describeApi } from './openapi.ts'
import type { Context, Route } from './route.ts'
import { groupRoutes } from './routes/groups.ts'
import { identityRoutes } from './routes/identities.ts'
import { messageRoutes } from './routes/messages.ts'
import { serverRoutes } from './routes/server.ts'

/** The routes for a hub. */
export function createRoutes(context: Context): readonly Route[] {
  let text: string | null = null
  const routes: readonly Route[] = [
    ...messageRoutes(context),
    ...groupRoutes(context),
    ...identityRoutes(context),
    ...serverRoutes(context, () => {
      text ??= JSON.stringify(describeApi(routes, context.options))
      return text
    }),
  ]
  return routes
}
