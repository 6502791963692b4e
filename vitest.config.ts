import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: {
    alias: [
      { find: /^groupcast$/, replacement: new URL('./src/index.ts', import.meta.url).pathname },
      { find: /^groupcast\/testing$/, replacement: new URL('./src/testing/index.ts', import.meta.url).pathname },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // Real sockets and child processes: a test that forgets one should fail here, not hang the run.
    teardownTimeout: 5_000,
  },
})
