import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import uni from '@dcloudio/vite-plugin-uni'
import { defineConfig, type Plugin } from 'vite'

const { resolve } = createRequire(import.meta.url)

/** No foreign hosts in what is shipped: DCloud's shadow pictures go, and the icon font of wot stands in the style itself. */
function selfContained(): Plugin {
  const font = readFileSync(resolve('wot-design-uni/components/wd-icon/wd-icons.ttf')).toString('base64')
  const source =
    process.env.UNI_PLATFORM === 'h5'
      ? 'src:local("wd-icons-none")'
      : `src:url(data:font/ttf;base64,${font}) format("truetype")`
  const mend = (style: string) =>
    style
      .replace(/url\("?https:\/\/cdn\.dcloud\.net\.cn\/img\/shadow-\w+\.png"?\)/g, 'none')
      .replace(/src:\s*url\("?https:\/\/at\.alicdn\.com\/[^;}]+/g, source)
  return {
    name: 'self-contained',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        for (const file of Object.values(bundle)) {
          if (file.type === 'asset' && /\.(css|wxss)$/.test(file.fileName)) file.source = mend(String(file.source))
        }
      },
    },
  }
}

export default defineConfig({
  plugins: [uni(), selfContained()],
  resolve: {
    // What both apps share lies outside of them, and takes what they have installed.
    dedupe: ['centrifuge', 'vue'],
    alias: {
      '@': new URL('./src', import.meta.url).pathname,
      '@client': new URL('../client', import.meta.url).pathname,
      '@shared': new URL('../shared', import.meta.url).pathname,
    },
  },
  css: { preprocessorOptions: { scss: { silenceDeprecations: ['legacy-js-api'] } } },
})
