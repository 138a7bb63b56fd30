// A static server of the repository for tests in a browser, on a free port of this machine, with pages of the test's own.
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

const repository = fileURLToPath(new URL('..', import.meta.url))

/** What a page's import map says so that it finds the package at each of its addresses. */
const { exports } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
const imports = Object.entries(exports)
  .filter(([, to]) => to.browser)
  .map(([address, to]) => [address.replace('.', 'vitune'), to.browser.replace('./', '/')])
export const importMap = `<script type="importmap">${JSON.stringify({ imports: Object.fromEntries(imports) })}</script>`

const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.wasm': 'application/wasm',
}
const typeOf = (path) => types[extname(path)] ?? 'application/octet-stream'

const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

const isFile = (path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true

/**
 * Serves `root`. `routes` comes first: a path's text, bytes, `{ body, type, status, headers }`, or a function from the
 * request to one of these (or a promise of it); a path without an ending is HTML. `isolated` sends COOP and COEP.
 */
export async function serve({ isolated = true, routes = {}, root = repository } = {}) {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname)
    const fixed = { 'Cache-Control': 'no-store', ...(isolated ? isolation : {}) }
    try {
      const given = Object.hasOwn(routes, path) ? routes[path] : undefined
      if (given !== undefined) {
        const answer = typeof given === 'function' ? await given(request) : given
        const plain = typeof answer === 'string' || answer instanceof Uint8Array
        const { body, type, status = 200, headers = {} } = plain ? { body: answer } : answer
        const ending = extname(path) ? typeOf(path) : types['.html']
        response.writeHead(status, { ...fixed, 'Content-Type': type ?? ending, ...headers }).end(body)
        return
      }
      const wanted = join(root, normalize(path)) // normalised from the root, so never above it
      const file = isFile(wanted) ? wanted : join(wanted, 'index.html')
      if (!isFile(file)) {
        response.writeHead(404, { ...fixed, 'Content-Type': 'text/plain' }).end(`no file ${path}`)
        return
      }
      response.writeHead(200, { ...fixed, 'Content-Type': typeOf(file), 'Content-Length': statSync(file).size })
      createReadStream(file).pipe(response)
    } catch (error) {
      response.writeHead(500, fixed).end(String(error))
    }
  })
  await new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `http://localhost:${server.address().port}`,
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}
