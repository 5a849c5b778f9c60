// Whether the built mini program does what it should: its compiled logic runs here as WeChat would run it, with a
// stand-in for WeChat's own functions and answers in the API's shape. The group page must show the group, follow a
// change, join with an Idempotency-Key, and roll the seat back when somebody was faster.
const assert = require('node:assert/strict')
const { join, resolve } = require('node:path')

const ROOT = resolve(__dirname, '../dist/build/mp-weixin')
const PAGE = 'pages/group/group'
const requests = []
const toasts = []

const seat = (n, state) => ({ state, since: `2026-11-23T03:0${n}:00Z`, is_leader: n === 1, is_mine: false })
const group = {
  group_id: 'g_7',
  campaign_id: 'trio',
  building_id: 'dorm-1',
  meal_id: '2026-11-23.lunch',
  state: 'open',
  tiers: [{ size: 3, off_percent: 10, off_fen: 0 }],
  seats_max: 3,
  seats_taken: 1,
  paid_count: 1,
  missing: 2,
  closes_at: '2099-11-23T04:00:00Z',
  opened_at: '2026-11-23T03:00:00Z',
  pay_within_s: 300,
  seats: [seat(1, 'paid')],
  my_order_id: null,
  version: 1,
}
const answers = {
  'GET /v1/clock': () => ({ now: new Date().toISOString() }),
  'GET /v1/campuses/beijing': () => ({
    campus: { id: 'beijing', name_zh: '青团大学', name_en: 'Qingtuan' },
    buildings: [{ id: 'dorm-1', kind: 'dorm', name_zh: '松园1号楼', name_en: 'Pine Court 1' }],
    periods: [],
  }),
  'GET /v1/campuses/beijing/merchants': () => ({ items: [], next: null }),
  'GET /v1/campuses/beijing/campaigns/trio': () => ({
    id: 'trio',
    name_zh: '三人团',
    name_en: 'Trio',
    tiers: group.tiers,
  }),
  'GET /v1/campuses/beijing/groups/g_7': () => structuredClone(group),
  'GET /v1/campuses/beijing/groups': () => ({ items: [], next: null }),
  'POST /v1/campuses/beijing/groups/g_7/orders': () => ({
    status: 409,
    type: '/problems/groups/group-full',
    code: 'groups/group-full',
    title: '名额已满',
  }),
}

function request({ url, method = 'GET', header, data, success, fail }) {
  const [path] = url.split('?')
  const answer = answers[`${method} ${path}`]
  requests.push({ method, path, header, data })
  setTimeout(() => {
    if (!answer) return fail({ errMsg: `request:fail ${method} ${path}` })
    const body = answer()
    success({ statusCode: body.status ?? 200, data: body, header: {}, errMsg: 'request:ok' })
  }, 5)
}

const phone = {
  language: 'zh_CN',
  platform: 'devtools',
  windowWidth: 390,
  windowHeight: 844,
  pixelRatio: 2,
  statusBarHeight: 20,
  SDKVersion: '3.8.0',
  host: { env: 'WeChat' },
  safeArea: {},
}
const wechat = {
  request,
  canIUse: () => true,
  getSystemInfoSync: () => phone,
  getWindowInfo: () => phone,
  getAppBaseInfo: () => phone,
  getDeviceInfo: () => phone,
  getLaunchOptionsSync: () => ({ scene: 1001 }),
  getEnterOptionsSync: () => ({}),
  getAccountInfoSync: () => ({ miniProgram: { appId: '' } }),
  getStorageSync: () => '',
  setStorageSync() {},
  removeStorageSync() {},
  setNavigationBarTitle() {},
  hideTabBar() {},
  showToast: ({ title }) => toasts.push(title),
  onAppShow() {},
  onAppHide() {},
  onError() {},
}
let units = {}
let loading = ''
globalThis.wx = new Proxy(wechat, { get: (all, name) => all[name] })
globalThis.App = (app) => (units.app = app)
globalThis.getApp = () => units.app
globalThis.getCurrentPages = () => []
globalThis.Behavior = (behavior) => behavior
globalThis.Page = (page) => (units[loading] = page)
globalThis.Component = (component) => (units[loading] = component)

function load(name) {
  loading = name
  require(join(ROOT, `${name}.js`))
  return units[name]
}

/** A page as WeChat makes it: its data are what setData has said so far. */
function open(name, query) {
  const made = load(name)
  const page = {
    ...made.methods,
    data: {},
    properties: Object.fromEntries(Object.entries(made.properties ?? {}).map(([key, kind]) => [key, kind?.value])),
    route: name,
    __route__: name,
    setData(data, done) {
      for (const [key, value] of Object.entries(data)) assign(this.data, key, value)
      done?.()
    },
    triggerEvent() {},
    selectAllComponents: () => [],
    selectComponent() {},
    createSelectorQuery() {},
  }
  made.lifetimes?.created?.call(page)
  made.lifetimes?.attached?.call(page)
  page.onLoad(query)
  made.lifetimes?.ready?.call(page)
  page.onShow?.()
  return page
}

/** `a[0].b = value`, as setData writes. */
function assign(data, key, value) {
  const steps = key.replace(/\[(\d+)\]/g, '.$1').split('.')
  const last = steps.pop()
  let at = data
  for (const step of steps) at = at[step] ??= {}
  at[last] = value
}

const shows = (page, text) => JSON.stringify(page.data).includes(text)
async function until(condition, what) {
  for (let waited = 0; waited < 8000; waited += 20) {
    if (condition()) return
    await new Promise((go) => setTimeout(go, 20))
  }
  assert.fail(`never came: ${what}`)
}

async function main() {
  load('app').onLaunch?.({ path: PAGE, scene: 1001, query: {} })
  const { wishToJoin } = require(join(ROOT, 'joining.js'))
  const page = open(PAGE, { campus: 'beijing', id: 'g_7' })
  await until(() => shows(page, '还差 2 人成团'), 'the group with what is missing')
  await until(() => shows(page, '松园1号楼') && shows(page, '三人团'), 'the names of building and campaign')

  Object.assign(group, {
    version: 2,
    seats: [seat(1, 'paid'), seat(2, 'paid')],
    seats_taken: 2,
    paid_count: 2,
    missing: 1,
  })
  await until(() => shows(page, '还差 1 人成团'), 'the change')
  assert.ok(shows(page, '第 2 位同学入座'), 'the feed tells who came')

  assert.equal(typeof wishToJoin, 'function')
  wishToJoin({
    groupId: 'g_7',
    lines: [{ dish_id: 'd1', quantity: 1, set_meal_id: null, addon: false }],
    couponId: null,
  })
  const joiner = open(PAGE, { campus: 'beijing', id: 'g_7', joining: '1' })
  await until(() => shows(joiner, '最后的名额刚刚被别的同学拿到了'), 'the kind word when somebody was faster')
  const joined = requests.find(({ method }) => method === 'POST')
  assert.match(joined.header['idempotency-key'], /^[!-~]{8,64}$/)
  assert.deepEqual(joined.data.lines, [{ dish_id: 'd1', quantity: 1, set_meal_id: null, addon: false }])
  console.log(`mini program: the group page follows the group and rolls a lost seat back (${requests.length} requests)`)
  process.exit(0)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
