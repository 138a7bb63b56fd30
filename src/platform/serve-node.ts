// A static server under Node, for the page that trains: one folder, to this machine alone, with the isolation headers.
import { createReadStream, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { InputError } from './errors.ts'

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.md': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
}

/** With these a page may share memory between threads. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
}

export interface FolderServer {
  readonly address: string
  close(): Promise<void>
}

/** Whether there is such a file. */
export const hasFile = (url: URL): boolean => statSync(url, { throwIfNoEntry: false })?.isFile() === true

/** Serves a folder at localhost; port 0 takes a free one. Throws an InputError when the port is taken. */
export async function serveFolder(folder: URL, port: number): Promise<FolderServer> {
  const root = fileURLToPath(folder)
  const server = createServer((request, response) => {
    const answer = (status: number, headers: Record<string, string | number>) =>
      response.writeHead(status, { ...isolation, 'Cache-Control': 'no-cache', ...headers })
    let path: string
    try {
      path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname)
    } catch {
      return void answer(400, {}).end()
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') return void answer(405, { Allow: 'GET, HEAD' }).end()
    // Normalised from the root, a path never leads above it.
    const file = join(root, normalize(path.endsWith('/') ? `${path}index.html` : path))
    const found = path.includes('\0') ? undefined : statSync(file, { throwIfNoEntry: false })
    if (!found?.isFile()) return void answer(404, { 'Content-Type': 'text/plain' }).end(`There is no ${path} here.`)
    answer(200, { 'Content-Type': types[extname(file)] ?? 'application/octet-stream', 'Content-Length': found.size })
    if (request.method === 'HEAD') return void response.end()
    createReadStream(file)
      .on('error', () => response.destroy())
      .pipe(response)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE' || error.code === 'EACCES'
      reject(taken ? new InputError(`port: ${port} cannot be used (${error.code}); choose another one`) : error)
    })
    server.listen(port, 'localhost', resolve)
  })
  const at = server.address()
  const used = at !== null && typeof at === 'object' ? at.port : port
  return {
    address: `http://localhost:${used}/`,
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
