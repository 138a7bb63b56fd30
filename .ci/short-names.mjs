// Short names for what modules share in the file that a page loads. Each module there is minified by itself, so that it is the same
// text in the session's worker and gzip finds it twice: only names of a module's own are short then. Here the others become short
// too, the same ones in both texts. Not a minifier: it relies on local names being short already, so that none hides a longer one.
import { parseAst } from 'rollup/parseAst'

/** Calls `visit(node, parent)` for every node below. */
export function walk(node, visit, parent) {
  if (Array.isArray(node)) for (const one of node) walk(one, visit, parent)
  else if (node && typeof node.type === 'string') {
    visit(node, parent)
    for (const [key, value] of Object.entries(node)) {
      if (key !== 'type' && value && typeof value === 'object') walk(value, visit, node)
    }
  }
}

/** Names that a pattern binds. */
function bound(pattern, names) {
  if (!pattern) return
  if (pattern.type === 'Identifier') names.add(pattern.name)
  else if (pattern.type === 'ObjectPattern') for (const p of pattern.properties) bound(p.value ?? p.argument, names)
  else if (pattern.type === 'ArrayPattern') for (const p of pattern.elements) bound(p, names)
  else if (pattern.type === 'AssignmentPattern') bound(pattern.left, names)
  else if (pattern.type === 'RestElement') bound(pattern.argument, names)
}

/** Names that statements declare, those inside of them left out. */
function declared(body) {
  const names = new Set()
  for (const statement of body) {
    const node = statement.declaration ?? statement
    if (node.type === 'VariableDeclaration') for (const { id } of node.declarations) bound(id, names)
    else if (/^(Function|Class)Declaration$/.test(node.type)) names.add(node.id.name)
  }
  return names
}

/** Where an identifier is a reference or a binding, and not the name of a property, of an export or of a label. */
function isName(node, parent) {
  if (parent.type === 'MemberExpression') return parent.object === node || parent.computed
  if (/^(MethodDefinition|PropertyDefinition)$/.test(parent.type)) return parent.value === node || parent.computed
  if (parent.type === 'Property') return parent.value === node || parent.computed
  if (parent.type === 'ExportSpecifier') return parent.local === node
  return !/^(ImportSpecifier|LabeledStatement|BreakStatement|ContinueStatement|MetaProperty)$/.test(parent.type)
}

/** A text with where its names stand; `body` picks the statements whose names are shared ones. */
function scan(code, body) {
  const ast = parseAst(code)
  const shared = declared(body(ast))
  const all = new Set()
  const places = []
  walk(ast, (node, parent) => {
    if (node.type !== 'Identifier') return
    all.add(node.name)
    if (!shared.has(node.name)) return
    // `{ name }` is both: the property, or the export, keeps its name.
    const inObject = parent.type === 'Property' && parent.shorthand
    const inExport = parent.type === 'ExportSpecifier' && parent.local.start === parent.exported.start
    if (!inObject && !inExport && !isName(node, parent)) return
    const text = inObject ? (to) => `${node.name}:${to}` : inExport ? (to) => `${to} as ${node.name}` : (to) => to
    places.push({ at: node.start, name: node.name, text })
  })
  return { code, all, places: [...new Map(places.map((place) => [place.at, place])).values()] }
}

/** The text with its names exchanged, and how far each place of it has moved. */
function renamed({ code, places }, names) {
  const out = []
  const moved = []
  let at = 0
  let shift = 0
  for (const { at: from, name, text: textOf } of places.sort((a, b) => a.at - b.at)) {
    const to = names.get(name)
    if (to === undefined) continue
    const text = textOf(to)
    out.push(code.slice(at, from), text)
    at = from + name.length
    shift += text.length - name.length
    moved.push([at, shift])
  }
  return { code: out.join('') + code.slice(at), moved }
}

/** Pieces of a text, cut where they were before its names were exchanged. */
function cut({ code, moved }, lengths, gap) {
  const pieces = []
  let [old, i, shift] = [0, 0, 0]
  const place = (end) => {
    for (; i < moved.length && moved[i][0] <= end; i++) shift = moved[i][1]
    return end + shift
  }
  for (const length of lengths) {
    const from = place(old)
    pieces.push(code.slice(from, place(old + length)))
    old += length + gap
  }
  return pieces
}

/** Pieces of a page's module and of its worker's script, a function called at once, with the names that they share made short. */
export function withShortNames(page, worker) {
  const texts = [page, worker].map((pieces) => pieces.join('\n'))
  const inside = ({ body }) => {
    let found = body
    walk(body, ({ type, callee }) => {
      if (found === body && type === 'CallExpression' && /^(Arrow)?Function/.test(callee.type)) found = callee.body.body
    })
    return found
  }
  const scanned = [scan(texts[0], ({ body }) => body), ...(worker.length > 0 ? [scan(texts[1], inside)] : [])]
  const counts = new Map()
  for (const { places } of scanned) for (const { name } of places) counts.set(name, (counts.get(name) ?? 0) + 1)
  const taken = new Set(scanned.flatMap(({ all }) => [...all]))
  const names = new Map()
  let next = 0
  for (const [name] of [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))) {
    let short
    do short = `$${(next++).toString(36)}`
    while (taken.has(short))
    if (short.length < name.length) names.set(name, short)
  }
  const both = scanned.map((text) => renamed(text, names))
  const lengths = (pieces) => pieces.map(({ length }) => length)
  return [cut(both[0], lengths(page), 1), worker.length > 0 ? cut(both[1], lengths(worker), 1) : []]
}
