// Whether the built mini program does what it should: its compiled logic runs here as WeChat would run it, with a
// stand-in for WeChat's own functions and answers in the API's shape. The group page must show the group, follow a
// change that the gateway pushes, join with an Idempotency-Key, and roll the seat back when somebody was faster. The
// sign-in page must ask WeChat first: whoever is known is signed in by it, with a fresh code when one was used up.
const assert = require('node:assert/strict')
const { join, resolve } = require('node:path')

const ROOT = resolve(__dirname, '../dist/build/mp-weixin')
const PAGE = 'pages/group/group'
const SIGN_IN = 'pages/signin/signin'
const ACCOUNT = { token: 'session', person_id: 'p_1', campus_id: 'beijing', expires_at: '2099-01-01T00:00:00Z' }
const requests = []
const toasts = []
const kept = []
const codes = []
/** What the API says to codes of WeChat's, one after another. */
const wechatSays = []

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
  'POST /v1/live/token': () => ({
    token: 't',
    expires_in_s: 300,
    url: 'wss://live.test',
    port: null,
    path: '/connection/websocket',
    channel: 'user:p_1',
  }),
  'GET /v1/campuses': () => ({ items: [{ id: 'beijing' }] }),
  'POST /v1/wechat/sessions': () => wechatSays.shift(),
  'PUT /v1/me/wechat': () => wechatSays.shift(),
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

/** The gateway's end of a WebSocket: it takes whoever connects, and shows the group to whoever subscribes. */
const gateway = { sockets: [], tell: (push) => gateway.sockets.at(-1).hear(`${JSON.stringify({ push })}`) }
const picture = () => ({ kind: 'group.picture', ...group, watching: 2 })
function connectSocket({ url }) {
  const on = {}
  const socket = {
    url,
    hear: (data) => on.message({ data }),
    onOpen: (heard) => (on.open = heard),
    onMessage: (heard) => (on.message = heard),
    onClose: (heard) => (on.close = heard),
    onError() {},
    close: () => on.close({ code: 1000, reason: '' }),
    send({ data }) {
      for (const line of data.split('\n')) {
        const { id, connect, subscribe } = JSON.parse(line)
        const subs = { 'user:p_1': { recoverable: true, positioned: true, epoch: 'e', offset: 0 } }
        if (connect)
          socket.hear(JSON.stringify({ id, connect: { client: 'c', version: 't', ping: 25, pong: true, subs } }))
        if (subscribe) socket.hear(JSON.stringify({ id, subscribe: { data: picture() } }))
      }
    },
  }
  gateway.sockets.push(socket)
  setTimeout(() => on.open({}), 5)
  return socket
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
  connectSocket,
  canIUse: () => true,
  getSystemInfoSync: () => phone,
  getWindowInfo: () => phone,
  getAppBaseInfo: () => phone,
  getDeviceInfo: () => phone,
  getLaunchOptionsSync: () => ({ scene: 1001 }),
  getEnterOptionsSync: () => ({}),
  getAccountInfoSync: () => ({ miniProgram: { appId: '' } }),
  getStorageSync: (name) => (name === 'tuanzi.account' ? ACCOUNT : ''),
  setStorageSync: (name, value) => kept.push([name, value]),
  login({ success }) {
    codes.push(`code-${codes.length}`)
    success({ code: codes.at(-1), errMsg: 'login:ok' })
  },
  navigateBack() {},
  switchTab() {},
  removeStorageSync() {},
  setNavigationBarTitle() {},
  hideTabBar() {},
  showToast: ({ title }) => toasts.push(title),
  onNetworkStatusChange() {},
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
  await until(() => shows(page, '2 人正在看这个团'), 'who watches, by the live connection')
  assert.equal(gateway.sockets[0].url, 'wss://live.test/connection/websocket')
  gateway.tell({ channel: 'group:g_7', pub: { data: picture() } })
  await until(() => shows(page, '还差 1 人成团'), 'the change that was pushed')
  assert.ok(shows(page, '第 2 位同学入座'), 'the feed tells who came')

  assert.equal(typeof wishToJoin, 'function')
  wishToJoin({
    groupId: 'g_7',
    lines: [{ dish_id: 'd1', quantity: 1, set_meal_id: null, addon: false }],
    couponId: null,
  })
  const joiner = open(PAGE, { campus: 'beijing', id: 'g_7', joining: '1' })
  await until(() => shows(joiner, '最后的名额刚刚被别的同学拿到了'), 'the kind word when somebody was faster')
  const joined = requests.find(({ method, path }) => method === 'POST' && path.endsWith('/orders'))
  assert.match(joined.header['idempotency-key'], /^[!-~]{8,64}$/)
  assert.deepEqual(joined.data.lines, [{ dish_id: 'd1', quantity: 1, set_meal_id: null, addon: false }])
  const no = (code, status) => ({ status, type: `/problems/${code}`, code, title: code })
  const asked = (path) => requests.filter((one) => one.path === path).map(({ data }) => data.code)
  wechatSays.push(no('people/wechat-unknown', 404))
  const stranger = open(SIGN_IN, {})
  await until(() => shows(stranger, '这个微信第一次来'), 'the word that the phone number is asked for once')
  wechatSays.push(no('people/wechat-code-refused', 422), { ...ACCOUNT, token: 'by-wechat', person_id: 'p_2' })
  open(SIGN_IN, {})
  await until(() => kept.some(([, value]) => value?.token === 'by-wechat'), 'the session that WeChat opened')
  assert.deepEqual(asked('/v1/wechat/sessions'), ['code-0', 'code-1', 'code-2'], 'a fresh code for each try')
  const { bindWechat } = require(join(ROOT, 'wechat.js'))
  wechatSays.push({ person_id: 'p_2' })
  await bindWechat()
  assert.deepEqual(asked('/v1/me/wechat'), ['code-3'])
  console.log(`mini program: WeChat signs in whom it knows, and others once by phone (${codes.length} codes)`)
  console.log(`mini program: the group page follows the group and rolls a lost seat back (${requests.length} requests)`)
  process.exit(0)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
