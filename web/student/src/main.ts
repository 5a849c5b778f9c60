import { createSSRApp } from 'vue'
import App from './App.vue'

/** Called by uni-app, for every platform. */
export function createApp() {
  return { app: createSSRApp(App) }
}
