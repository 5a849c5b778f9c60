/** What the boards of merchants and riders say. */

export const zh = {
  merchantBoard: '商家接单台',
  riderBoard: '骑手配送台',
}

export const en: Record<keyof typeof zh, string> = {
  merchantBoard: 'Kitchen board',
  riderBoard: 'Delivery board',
}
