import { fileURLToPath } from 'node:url'
import vue from '@vitejs/plugin-vue'
import { ElementPlusResolver } from 'unplugin-vue-components/resolvers'
import Components from 'unplugin-vue-components/vite'
import { defineConfig } from 'vite'

export default defineConfig({
  base: '/console/',
  // Element's components are found by their names, each with its style; their types come from element-plus/global.
  plugins: [vue(), Components({ dirs: [], resolvers: [ElementPlusResolver()], dts: false })],
  resolve: {
    // What both apps share lies outside of them, and takes what they have installed.
    dedupe: ['centrifuge', 'vue'],
    alias: {
      '@': fileURLToPath(new URL('./src', import.meta.url)),
      '@client': fileURLToPath(new URL('../client', import.meta.url)),
      '@shared': fileURLToPath(new URL('../shared', import.meta.url)),
    },
  },
  build: { chunkSizeWarningLimit: 800 },
})
