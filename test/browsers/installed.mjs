// Which other browsers this machine has, and where. They come from Debian: apt-get install firefox-esr webkit2gtk-driver xvfb.
// VITUNE_FIREFOX and VITUNE_MINIBROWSER name others; VITUNE_WITHOUT=firefox,webkit hides them.
import { existsSync, readdirSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const hidden = (name) => (process.env.VITUNE_WITHOUT ?? '').split(',').includes(name)

/** A program of the search path; undefined when there is none. */
const found = (name) =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))

export const firefox = () => process.env.VITUNE_FIREFOX ?? found('firefox-esr') ?? found('firefox')

/** WebKitGTK's small browser, which its driver starts; it stands beside the library, outside the search path. */
export function miniBrowser() {
  if (process.env.VITUNE_MINIBROWSER) return process.env.VITUNE_MINIBROWSER
  const inside = (folder) => {
    const folders = statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(folder) : []
    return folders.map((name) => join(folder, name))
  }
  const libraries = ['/usr/lib', '/usr/libexec', '/usr/lib64', ...inside('/usr/lib')]
  return libraries
    .flatMap((folder) => inside(folder).filter((path) => /\/webkit2?gtk-\d[^/]*$/.test(path)))
    .map((folder) => join(folder, 'MiniBrowser'))
    .filter(existsSync)
    .sort()
    .at(-1)
}

/** True, or why there is no Firefox for tests here. */
export function firefoxHere() {
  if (hidden('firefox')) return 'VITUNE_WITHOUT hides it'
  const path = firefox()
  return (path !== undefined && existsSync(path)) || 'not installed: apt-get install firefox-esr'
}

/** True, or why there is no WebKit for tests here. */
export function webkitHere() {
  if (hidden('webkit')) return 'VITUNE_WITHOUT hides it'
  const there = found('WebKitWebDriver') && miniBrowser() && found('Xvfb')
  return there ? true : 'not installed: apt-get install webkit2gtk-driver xvfb'
}
