import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: {
    alias: {
      '@': new URL('./src', import.meta.url).pathname,
      '@client': new URL('../client', import.meta.url).pathname,
    },
  },
  test: { include: ['tests/**/*.test.ts'], environment: 'happy-dom', setupFiles: ['tests/setup.ts'] },
})
