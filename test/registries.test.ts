// Tasks, model families, adapters and methods are added in their rooms: read from the text of src/, no other file compares
// with their names, and the loop names none of what it must not know.
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { experimentMethods } from 'vitune'
import { methods } from 'vitune/adapters'
import { families } from 'vitune/models'
import { taskNames } from 'vitune/train'

const src = new URL('../src/', import.meta.url)

/** Whose names may be compared where. A method's room is the adapters'. */
const registries: { what: string; names: readonly string[]; rooms: readonly string[] }[] = [
  { what: 'task', names: taskNames, rooms: ['tasks/', 'labels/'] },
  { what: 'family', names: families, rooms: ['models/'] },
  { what: 'method', names: [...new Set([...methods, ...experimentMethods])], rooms: ['adapters/'] },
]

/** Words that are none of the names where they stand for something else: a scale of a chart, a schedule. */
const others: Record<string, readonly string[]> = {}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => name.endsWith('.ts'))

/** Code without comments. */
function codeOf(text: string): string {
  const tokens = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g
  return text.replace(tokens, (token) => (token.startsWith('/') ? '' : token))
}

/** Where code compares with one of these names: by an operator, a case, a method that looks for it, or an expression. */
function comparisons(code: string, names: readonly string[]): string[] {
  const name = `(?:${names.join('|')})`
  const text = `['"\`]${name}['"\`]`
  const list = `\\[[^\\]]*${text}[^\\]]*\\](?:\\s+as\\s+const)?\\)?`
  const patterns = [
    `[=!]==?\\s*${text}`,
    `${text}(?:\\s+as\\s+\\w+)?\\s*[=!]==?`,
    `\\bcase\\s+${text}`,
    `\\.(?:includes|startsWith|endsWith|indexOf|has|match|search|test)\\(\\s*${text}`,
    `${list}\\s*\\.(?:includes|indexOf|some|find|every)\\b`,
    `new Set\\(\\[[^\\]]*${text}`,
    // An expression that spells a name whole: /^(vit|deit)$/.
    `/[^/\\n]*[\\^(|]${name}[$)|][^/\\n]*/[a-z]*\\.(?:test|exec)`,
  ]
  return patterns.flatMap((pattern) => [...code.matchAll(new RegExp(pattern, 'g'))].map((m) => m[0]))
}

for (const { what, names, rooms } of registries) {
  test(`no file compares with a ${what}'s name outside the ${what}s' rooms`, () => {
    const wrong: string[] = []
    for (const file of files) {
      if (rooms.some((room) => file.startsWith(room))) continue
      const found = comparisons(codeOf(readFileSync(new URL(file, src), 'utf8')), names)
      for (const one of found) if (!others[file]?.includes(one)) wrong.push(`${file}: ${one}`)
    }
    assert.ok(names.length > 0 && names.every((name) => /^\w+$/.test(name)))
    assert.equal(wrong, [])
  })
}

test('what counts as a comparison with a name', () => {
  const names = ['lora', 'vit']
  for (const code of [
    `if (method === 'lora') a()`,
    `if ('lora' !== method) a()`,
    `x == "vit" ? 1 : 2`,
    `switch (m) { case 'lora': }`,
    `family.startsWith('vit')`,
    `['full', 'lora'].includes(m)`,
    `(['vit', 'bit'] as const).find(f)`,
    `new Set(['a', 'vit']).has(x)`,
    `/^(vit|deit)$/.test(type)`,
  ]) {
    assert.ok(comparisons(codeOf(code), names).length > 0, code)
  }
  for (const code of [
    `const defaults = { peft: 'lora' }`,
    `// method === 'lora'`,
    `if (kind === 'lora_only') a()`,
    `names.includes(method)`,
    `['lora', 'Adds small matrices']`,
  ]) {
    assert.equal(comparisons(codeOf(code), names), [], code)
  }
})

/** What the loop must not know, as words of its code: not in comments, which may say what it is for. */
const unknownToTheLoop = /\b\w*(images?|pictures?|pixels|classes|patches|vit|lora|dora|folders?|files?)\w*\b/i

test('the loop names no image, class, vision transformer, adapter or file', () => {
  const wrong: string[] = []
  for (const file of files.filter((name) => name.startsWith('train/'))) {
    for (const line of codeOf(readFileSync(new URL(file, src), 'utf8')).split('\n')) {
      const found = unknownToTheLoop.exec(line)
      if (found) wrong.push(`${file}: ${found[0]}`)
    }
  }
  assert.equal(wrong, [])
})

test.run()
