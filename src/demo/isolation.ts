// Threads need a page that is cross-origin isolated. Where the server sends no such headers, a service worker adds them.
import { h } from './dom.ts'

const tried = 'vitune.isolation'

/**
 * Makes the page isolated where it is not, by a service worker and one reload; resolves to what to tell the user when
 * that is not possible, or nothing.
 */
export async function isolate(): Promise<HTMLElement | undefined> {
  if (globalThis.crossOriginIsolated) {
    sessionStorage.removeItem(tried)
    return undefined
  }
  if (globalThis.isSecureContext && 'serviceWorker' in navigator && !sessionStorage.getItem(tried)) {
    sessionStorage.setItem(tried, '1') // once: a page in a frame of another site stays as it is
    try {
      await navigator.serviceWorker.register(new URL('isolation.js', document.baseURI))
      await navigator.serviceWorker.ready
      location.reload()
      return await new Promise<never>(() => {})
    } catch {
      // Told below.
    }
  }
  return h(
    'p',
    {},
    h('strong', {}, 'This page runs on one thread. '),
    'It is not cross-origin isolated, so training on the processor is several times slower. Serve it with the headers ',
    h('code', {}, 'Cross-Origin-Opener-Policy: same-origin'),
    ' and ',
    h('code', {}, 'Cross-Origin-Embedder-Policy: require-corp'),
    '.',
  )
}
