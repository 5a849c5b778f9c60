/** What the operator's screens say. */

export const zh = {}

export const en: Record<keyof typeof zh, string> = {}
