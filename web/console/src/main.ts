import { createApp } from 'vue'
import App from '@/App.vue'
import { recallLanguage } from '@/locale'
import { router } from '@/router'
import '@/style/base.css'

recallLanguage()
createApp(App).use(router).mount('#app')
