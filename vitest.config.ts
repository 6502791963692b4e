import { defineConfig } from 'vitest/config'

const source = (path: string) => new URL(path, import.meta.url).pathname

const LONG = [
  'test/layers/redis/broker-sets.test.ts',
  'test/layers/nats/cluster.test.ts',
  'test/layers/journal-kill.test.ts',
  'test/storm-{kill,nodes}.test.ts',
  'test/scale.test.ts',
]

/** Tests that put something in the place of modules, timers or other things that all files of a process share. */
const ALONE = ['test/leak.test.ts', 'test/client/reconnecting.test.ts', 'test/server/start.test.ts']

const ON_UWS = 'test/transports/uws/traps.test.ts'
/** Needs no binary, so it is not among those that are skipped without one. */
const ON_A_MODEL = 'test/transports/uws/schedules.test.ts'

export default defineConfig({
  resolve: {
    alias: [
      // Tests and examples import the package by its name, as users do, and get the source.
      { find: /^groupcast$/, replacement: source('./src/index.ts') },
      { find: /^groupcast\/auth$/, replacement: source('./src/auth/index.ts') },
      { find: /^groupcast\/client$/, replacement: source('./src/client/index.ts') },
      {
        find: /^groupcast\/layers\/journal$/,
        replacement: source('./src/layers/file-journal/index.ts'),
      },
      { find: /^groupcast\/layers\/django$/, replacement: source('./src/layers/django/index.ts') },
      { find: /^groupcast\/layers\/redis$/, replacement: source('./src/layers/redis/index.ts') },
      { find: /^groupcast\/layers\/nats$/, replacement: source('./src/layers/nats/index.ts') },
      {
        find: /^groupcast\/transports\/uws$/,
        replacement: source('./src/transports/uws/index.ts'),
      },
      { find: /^groupcast\/testing$/, replacement: source('./src/testing/index.ts') },
    ],
  },
  test: {
    globalSetup: ['test/global-setup.ts'],
    // A process for each file, with all its imports, would be a fifth of the whole time: files share those of a worker.
    isolate: false,
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: [ON_UWS, ...ALONE, ...LONG],
          provide: { backend: 'node' },
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: ALONE, isolate: true, provide: { backend: 'node' } },
      },
      {
        // By name only (`npm run test:long`): what takes minutes, and holds promises that other tests hold as well, over more servers.
        extends: true,
        test: { name: 'long', include: LONG, provide: { backend: 'node' } },
      },
      {
        // The same tests over the other server back end.
        extends: true,
        test: {
          name: 'uws',
          include: [
            'test/transports/**/*.test.ts',
            'test/raw/**/*.test.ts',
            'test/api/**/*.test.ts',
            'test/auth/**/*.test.ts',
            'test/server/{server,history,journal}.test.ts',
            'test/hub/{consumer,faults,layer-faults,schemas,nodes}.test.ts',
            'test/groups-consumer.test.ts',
            'test/cli/serve.test.ts',
            'test/storm.test.ts',
          ],
          exclude: ['test/transports/node/**', ON_A_MODEL],
          setupFiles: ['test/uws-setup.ts'],
          provide: { backend: 'uws' },
        },
      },
      {
        extends: true,
        test: {
          name: 'long uws',
          include: ['test/leak.test.ts'],
          isolate: true,
          setupFiles: ['test/uws-setup.ts'],
          provide: { backend: 'uws' },
        },
      },
    ],
    // Most of the time tests wait for sockets, processes and browsers: more workers than cores use it.
    maxWorkers: 4,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // CI counts from the runner's own report.
    reporters: process.env.CI
      ? ['default', ['json', { outputFile: 'test-results/report.json' }]]
      : ['default'],
  },
})
