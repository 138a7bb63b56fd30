// Small things that the page remembers from visit to visit, where the browser allows it: reading `localStorage` already
// throws where site data is blocked.

/** What was remembered under a name, by this browser or for this tab alone. */
export function recall(name: string, where: 'localStorage' | 'sessionStorage' = 'localStorage'): string | null {
  try {
    return globalThis[where].getItem(name)
  } catch {
    return null
  }
}

/** Remembers a text, null for none; false where that is not allowed. */
export function remember(name: string, text: string | null, where: 'localStorage' | 'sessionStorage' = 'localStorage') {
  try {
    if (text === null) globalThis[where].removeItem(name)
    else globalThis[where].setItem(name, text)
    return true
  } catch {
    return false
  }
}
