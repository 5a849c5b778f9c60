/** Which drawing stands for a dish: told by its name and tags, for there are no photographs of every dish. */

import type { Dish } from '@/offers'

const KINDS: readonly [RegExp, string][] = [
  [/套餐|拼盘|双拼/, 'set'],
  [/奶茶|果茶|奶绿|甘露|豆浆$|橙汁|酸梅|八宝茶|绿豆汤|牛乳|饮/, 'drink'],
  [/葫芦|冰粉/, 'haws'],
  [/煎饼|灌饼|卷饼|肉卷|牛肉饼|油条|烤冷面/, 'pancake'],
  [/水饺|饺/, 'dumplings'],
  [/包（|包子|茶叶蛋/, 'buns'],
  [/面/, 'noodles'],
  [/香锅|部队锅|猪肉锅/, 'pot'],
  [/串|烤|鸡翅|铁板/, 'skewers'],
  [/沙拉|能量碗|牛油果|藜麦|黄瓜|土豆丝|菜心/, 'salad'],
  [/汤|粥|泡馍|豆干/, 'soup'],
]

/** The file of the drawing. */
export function artOf(dish: Pick<Dish, 'name_zh' | 'tags'> | undefined): string {
  const words = dish ? `${dish.name_zh} ${(dish.tags ?? []).filter((tag) => tag === '饮品').join('')}` : ''
  const kind = KINDS.find(([pattern]) => pattern.test(words))?.[1] ?? 'rice'
  return `/static/dishes/${kind}.svg`
}
