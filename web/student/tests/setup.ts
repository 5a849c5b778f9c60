/** The little of uni-app that the tested modules touch: storage that is empty, a phone that speaks Chinese. */
const kept = new Map<string, unknown>()

Object.assign(globalThis, {
  uni: {
    getStorageSync: (name: string) => kept.get(name) ?? '',
    setStorageSync: (name: string, value: unknown) => void kept.set(name, value),
    removeStorageSync: (name: string) => void kept.delete(name),
    getLocale: () => 'zh-Hans',
  },
})
