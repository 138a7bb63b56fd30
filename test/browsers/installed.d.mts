// Types of installed.mjs, for tests in TypeScript.

export function firefox(): string | undefined
export function miniBrowser(): string | undefined
export function firefoxHere(): true | string
export function webkitHere(): true | string
