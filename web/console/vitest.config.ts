import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: {
    // What both apps share lies outside of them, and takes what they have installed.
    dedupe: ['centrifuge', 'vue'],
    alias: {
      '@': fileURLToPath(new URL('./src', import.meta.url)),
      '@client': fileURLToPath(new URL('../client', import.meta.url)),
      '@shared': fileURLToPath(new URL('../shared', import.meta.url)),
    },
  },
  test: {
    include: ['tests/**/*.test.ts'],
    environment: 'happy-dom',
    // Its modules ask for styles, which Node cannot read.
    server: { deps: { inline: [/element-plus/] } },
  },
})
