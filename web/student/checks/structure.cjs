// Whether the built mini program hangs together: pages, components, WXML, scripts, size, and no foreign hosts.
const { existsSync, readFileSync, readdirSync, statSync } = require('node:fs')
const { dirname, extname, join, relative, resolve } = require('node:path')
const { compileFunction } = require('node:vm')
const { parse } = require('@wxml/parser')

const ROOT = resolve(__dirname, '../dist/build/mp-weixin')
// WeChat's limit for the main package.
const BYTES_MAX = 2 * 1024 * 1024
// Namespaces of SVG, and names that only error messages hold.
const FOREIGN = /https?:\/\/(?!www\.w3\.org)[\w.-]+\.\w+/g
const faults = []
const seen = new Set()

function checkUnit(base, kind) {
  if (seen.has(base)) return
  seen.add(base)
  const name = relative(ROOT, base)
  for (const ending of ['.js', '.json', '.wxml']) {
    if (!existsSync(base + ending)) faults.push(`${kind} ${name} has no ${ending}`)
  }
  if (!existsSync(`${base}.json`)) return
  const unit = JSON.parse(readFileSync(`${base}.json`, 'utf8'))
  if (kind === 'component' && unit.component !== true) faults.push(`${name}.json does not say component: true`)
  const { errors = [] } = parse(readFileSync(`${base}.wxml`, 'utf8'))
  for (const error of errors) faults.push(`${name}.wxml: ${error.message ?? error.value ?? JSON.stringify(error)}`)
  compileFunction(readFileSync(`${base}.js`, 'utf8'), ['require', 'module', 'exports'])
  for (const place of Object.values(unit.usingComponents ?? {})) {
    checkUnit(place.startsWith('/') ? join(ROOT, place) : resolve(dirname(base), place), 'component')
  }
}

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesBelow(path) : [path]
  })
}

const app = JSON.parse(readFileSync(join(ROOT, 'app.json'), 'utf8'))
for (const page of app.pages) checkUnit(join(ROOT, page), 'page')
for (const { pagePath } of app.tabBar?.list ?? []) {
  if (!app.pages.includes(pagePath)) faults.push(`tabBar names ${pagePath}, which is no page`)
}
const files = filesBelow(ROOT)
for (const file of files.filter((path) => ['.wxss', '.wxml'].includes(extname(path)))) {
  for (const host of readFileSync(file, 'utf8').match(FOREIGN) ?? [])
    faults.push(`${relative(ROOT, file)} names ${host}`)
}
const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0)
if (bytes > BYTES_MAX) faults.push(`${bytes} bytes are more than WeChat takes (${BYTES_MAX})`)

console.log(`mini program: ${app.pages.length} pages, ${seen.size} units, ${Math.round(bytes / 1024)} KiB`)
for (const fault of faults) console.error(fault)
process.exit(faults.length ? 1 : 0)
