// The trials as tables of Markdown: mean and range over seeds of the test after the last epoch, in percent. Pure.
import type { TrialResult } from './trial.ts'

type Column = readonly [title: string, matches: (t: TrialResult) => boolean]

/** What a question compares: rows by what `row` says of a trial, in the order of the trials; one column a variant. */
interface Table {
  readonly title: string
  readonly rows: (t: TrialResult) => string
  readonly of: (t: TrialResult) => boolean
  readonly columns: readonly Column[]
}

const setOf = ({ data, perClass, epochs }: TrialResult) =>
  `${data}, ${perClass} a class, ${epochs} ${epochs === 1 ? 'epoch' : 'epochs'}`
const usual = (t: TrialResult) => t.schedule === 'cosine' && t.batch === 8
const lora8 = (t: TrialResult) => t.method === 'lora' && t.rank === 8 && usual(t)
/** What held before there were recipes. */
const wasUsual = (t: TrialResult) => t.schedule === 'constant' && t.batch === 16 && t.augment === 'crop08+flip'
const onQv = (t: TrialResult) => t.targets === 'query,value'
const column = <K extends keyof TrialResult>(key: K, values: readonly TrialResult[K][]): Column[] =>
  values.map((value) => [String(value), (t) => t[key] === value])

const tables: readonly Table[] = [
  {
    title: 'Recipes (LoRA)',
    rows: ({ data, perClass }) => `${data}, ${perClass} a class`,
    of: (t) => t.recipe !== undefined || wasUsual(t),
    columns: [
      ...column('recipe', ['default', 'fast', 'accurate']),
      ['20 epochs of crop08+flip, constant 1e-3', wasUsual],
    ],
  },
  {
    title: 'Targets (LoRA, rank 8, no augmentation)',
    rows: setOf,
    of: (t) => lora8(t) && t.augment === 'none',
    columns: [5e-3, 1.5e-3].flatMap((lr) =>
      (['query,value', 'all-linear'] as const).map(
        (targets): Column => [`${targets} at ${lr}`, (t) => t.targets === targets && t.lr === lr],
      ),
    ),
  },
  {
    title: 'Augmentation (LoRA, rank 8, query and value)',
    rows: (t) => `${setOf(t)}, rate ${t.lr}`,
    of: (t) => lora8(t) && onQv(t),
    columns: column('augment', ['none', 'flip', 'crop50', 'crop50+flip', 'crop08+flip']),
  },
  {
    title: 'Rates by method',
    rows: (t) => `${t.method}, ${setOf(t)}, augmentation ${t.augment}`,
    of: (t) => usual(t) && t.ema === undefined && (t.rank ?? 8) === 8 && t.targets !== 'all-linear',
    columns: column('lr', [1.5e-4, 5e-4, 1e-3, 1.5e-3, 3e-3, 5e-3, 1e-2, 1.5e-2, 3e-2]),
  },
  {
    title: 'Ranks (LoRA on query and value, no augmentation, scaling 1)',
    rows: (t) => `${setOf(t)}, rate ${t.lr}`,
    of: (t) => t.method === 'lora' && usual(t) && t.augment === 'none' && onQv(t),
    columns: column('rank', [2, 4, 8, 16, 32]),
  },
  {
    title: 'Schedule (LoRA, rank 8, query and value, no augmentation)',
    rows: (t) => `${setOf(t)}, rate ${t.lr}`,
    of: (t) => t.method === 'lora' && t.rank === 8 && t.batch === 8 && onQv(t) && t.augment === 'none',
    columns: column('schedule', ['cosine', 'constant']),
  },
  {
    title: 'Images a batch (LoRA, rank 8, query and value, no augmentation)',
    rows: (t) => `${setOf(t)}, rate ${t.lr}`,
    of: (t) => t.method === 'lora' && t.rank === 8 && t.schedule === 'cosine' && onQv(t) && t.augment === 'none',
    columns: column('batch', [8, 16]),
  },
]

const percent = (x: number) => (100 * x).toFixed(1)

const last = ({ marks }: TrialResult): number => marks.at(-1)!.test
const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length

/** `53.1 +0.4 (52.0-54.4, 3)`: mean, difference from the first variant over the seeds of both, lowest and highest, seeds. */
function cell(results: readonly TrialResult[], first: readonly TrialResult[]): string {
  if (results.length === 0) return ''
  const tests = results.map(last)
  const pairs = results.flatMap((t) => first.filter(({ seed }) => seed === t.seed).map((f) => last(t) - last(f)))
  const change = 100 * mean(pairs)
  const difference = results === first || pairs.length === 0 ? '' : ` ${change < 0 ? '' : '+'}${change.toFixed(1)}`
  const range =
    tests.length === 1 ? '1' : `${percent(Math.min(...tests))}-${percent(Math.max(...tests))}, ${tests.length}`
  return `${percent(mean(tests))}${difference} (${range})`
}

/** Rows with one variant alone compare nothing and are left out. */
function tableOf({ title, rows, of, columns }: Table, all: readonly TrialResult[]): string {
  const chosen = all.filter((t) => of(t) && columns.some(([, matches]) => matches(t)))
  const names = [...new Set(chosen.map(rows))]
  const body = names
    .map((name) => {
      const found = columns.map(([, matches]) => chosen.filter((t) => rows(t) === name && matches(t)))
      const first = found.find(({ length }) => length > 0)!
      return [name, ...found.map((results) => cell(results, first))]
    })
    .filter((row) => row.filter((text) => text !== '').length > 2)
  const shown = columns.map((_, i) => body.some((row) => row[i + 1] !== ''))
  const keep = (row: readonly string[]) => row.filter((_, i) => i === 0 || shown[i - 1])
  const head = keep(['data', ...columns.map(([name]) => name)])
  if (body.length === 0) return ''
  return [
    `**${title}**`,
    '',
    ...[head, head.map(() => '---'), ...body.map(keep)].map((row) => `| ${row.join(' | ')} |`),
    '',
  ].join('\n')
}

const begin = '<!-- trials:begin, written by benchmarks/recipes.ts -->'
const end = '<!-- trials:end -->'

/** A page with the tables of these trials between its markers. Throws where it has none. */
export function putTables(page: string, all: readonly TrialResult[]): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`tables: the page needs the lines ${begin} and ${end}`)
  const texts = tables.map((table) => tableOf(table, all)).filter((text) => text !== '')
  return `${page.slice(0, from + begin.length)}\n\n${texts.join('\n')}\n${page.slice(to)}`
}
