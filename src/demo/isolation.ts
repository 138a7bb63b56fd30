// Threads need a page that is cross-origin isolated. Where the server sends no such headers, a service worker adds them.
import { h } from './dom.ts'
import { recall, remember } from './remember.ts'

const tried = 'vitune.isolation'

/** Milliseconds that a service worker has to become active: in some browsers it never does. */
const PATIENCE = 5000

/** Starts the service worker; whether it is there. */
async function startIsolation(): Promise<boolean> {
  const late = new Promise<never>((_, reject) => setTimeout(reject, PATIENCE))
  const active = async () => {
    await navigator.serviceWorker.register(new URL('isolation.js', document.baseURI))
    await navigator.serviceWorker.ready
    return true
  }
  return Promise.race([active(), late]).catch(() => false)
}

/** Whether the server sends what isolates a page. */
async function hasHeaders(): Promise<boolean> {
  const { headers } = await fetch(location.href, { method: 'HEAD' }).catch(() => new Response())
  return headers.has('Cross-Origin-Opener-Policy') && headers.has('Cross-Origin-Embedder-Policy')
}

/**
 * Makes the page isolated where it is not, by a service worker and one reload; resolves to what to tell the user when
 * that is not possible, or nothing.
 */
export async function isolate(): Promise<HTMLElement | undefined> {
  if (globalThis.crossOriginIsolated) {
    remember(tried, null, 'sessionStorage')
    return undefined
  }
  // Once: a page in a frame of another site stays as it is. Where that cannot be remembered it would reload for ever.
  const first = globalThis.isSecureContext && 'serviceWorker' in navigator && !recall(tried, 'sessionStorage')
  if (first && remember(tried, '1', 'sessionStorage') && (await startIsolation())) {
    location.reload()
    return await new Promise<never>(() => {})
  }
  const slow = h('strong', {}, 'This page runs on one thread, ')
  const result = 'so training on the processor is several times slower. '
  if (await hasHeaders()) return h('p', {}, slow, result, 'This browser does not isolate it, although it was asked to.')
  return h(
    'p',
    {},
    slow,
    result,
    'It is not cross-origin isolated: serve it with the headers ',
    h('code', {}, 'Cross-Origin-Opener-Policy: same-origin'),
    ' and ',
    h('code', {}, 'Cross-Origin-Embedder-Policy: require-corp'),
    '.',
  )
}
