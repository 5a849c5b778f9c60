import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: {
    // What both apps share lies outside of them, and takes what they have installed.
    dedupe: ['centrifuge', 'vue'],
    alias: {
      '@': new URL('./src', import.meta.url).pathname,
      '@client': new URL('../client', import.meta.url).pathname,
      '@shared': new URL('../shared', import.meta.url).pathname,
    },
  },
  test: { include: ['tests/**/*.test.ts'], environment: 'happy-dom', setupFiles: ['tests/setup.ts'] },
})
