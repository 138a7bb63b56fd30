// The service worker that isolation.ts starts: adds the two headers to what the server answers. It caches nothing.

interface FetchEvent extends Event {
  readonly request: Request
  respondWith(answer: Promise<Response>): void
}
interface ActivateEvent extends Event {
  waitUntil(done: Promise<unknown>): void
}
/** What this file uses of a service worker's scope; the DOM's declarations have none. */
interface Scope {
  skipWaiting(): Promise<void>
  readonly clients: { claim(): Promise<void> }
  addEventListener(type: 'install', listener: () => void): void
  addEventListener(type: 'activate', listener: (event: ActivateEvent) => void): void
  addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void
}
const scope = self as unknown as Scope

async function isolated(request: Request): Promise<Response> {
  const answer = await fetch(request)
  const headers = new Headers(answer.headers)
  headers.set('Cross-Origin-Opener-Policy', 'same-origin')
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp')
  headers.set('Cross-Origin-Resource-Policy', 'same-origin')
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers })
}

scope.addEventListener('install', () => void scope.skipWaiting())
scope.addEventListener('activate', (event) => event.waitUntil(scope.clients.claim()))
scope.addEventListener('fetch', (event) => {
  const { request } = event
  // Models from other sites go past; a request for the cache alone may not be repeated from here.
  if (new URL(request.url).origin !== location.origin) return
  if (request.cache === 'only-if-cached' && request.mode !== 'same-origin') return
  event.respondWith(isolated(request))
})
