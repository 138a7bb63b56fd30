// vitune find: what there is to choose from, models, recipes and methods.
import { Argument, Command } from 'commander'
import { type MethodKind, methodOf, methods } from '../adapters/methods.ts'
import { knownModels } from '../models/known.ts'
import { families } from '../models/registry.ts'
import type { RecipeFacts } from '../settings/recipe.ts'
import { recipes } from '../settings/recipes.ts'
import { recipeNames } from '../settings/settings.ts'
import { count, table } from './format.ts'
import { addOutput, examples } from './options.ts'
import { createUi } from './ui.ts'

const kinds = ['models', 'recipes', 'methods'] as const
type Kind = (typeof kinds)[number]

/** A run of which recipes are asked what they would say. */
const usual: RecipeFacts = {
  method: 'lora',
  task: 'multiclass',
  images: 500,
  labels: 10,
  validates: true,
  inputSize: 224,
}
const usually = 'LoRA on 500 images of 10 classes at 224 px'

const trained: Readonly<Record<MethodKind['trains'], string>> = {
  all: 'all weights',
  classifier: 'the classifier',
  adapter: 'an adapter and the classifier',
}
const saved: Readonly<Record<MethodKind['saves'], string>> = {
  model: 'the whole model',
  adapter: "an adapter in PEFT's format",
}

const methodList = () =>
  methods.map((name) => {
    const { title, trains, saves, defaultRate } = methodOf(name)
    return { name, title, trains, saves, lr: defaultRate }
  })
const recipeList = () =>
  recipeNames.map((name) => ({
    name,
    settings: Object.fromEntries(Object.entries(recipes[name](usual)).map(([key, chosen]) => [key, chosen.value])),
  }))

/** A value in one word. */
const shown = (value: unknown): string =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.keys(value).join('+') || 'none'
    : String(value)

const tables: Readonly<Record<Kind, () => string>> = {
  models: () =>
    `${table(
      [
        ['model', 'family', 'parameters', 'width', 'depth', 'patch', 'input', 'licence'],
        ...knownModels.map((m) => [
          ...[m.name, m.family, count(m.parameters)],
          ...[m.width, m.depth, m.patch, m.input].map(String),
          m.licence,
        ]),
      ],
      [2, 3, 4, 5, 6],
    )}\n\nand any other repository or folder of the families ${families.join(', ')}`,
  recipes: () =>
    `${table([
      ['recipe', `for ${usually}`],
      ...recipeList().map(({ name, settings }) => [
        name,
        Object.entries(settings)
          .map(([key, value]) => `${key} ${shown(value)}`)
          .join(', '),
      ]),
    ])}`,
  methods: () =>
    table([
      ['method', 'trains', 'saves', 'rate'],
      ...methodList().map((m) => [m.name, trained[m.trains], saved[m.saves], String(m.lr)]),
    ]),
}

const lists: Readonly<Record<Kind, () => Record<string, unknown>>> = {
  models: () => ({ models: knownModels, families }),
  recipes: () => ({ recipes: recipeList(), recipes_for: usually }),
  methods: () => ({ methods: methodList() }),
}

function run(what: Kind | undefined, { json, color = true }: { json?: boolean; color?: boolean }): void {
  const ui = createUi({ colour: color })
  const wanted = what === undefined ? kinds : [what]
  if (json) ui.json(Object.assign({}, ...wanted.map((kind) => lists[kind]())), 2)
  else ui.result(wanted.map((kind) => tables[kind]()).join('\n\n'))
}

/** The verb. */
export function findCommand(): Command {
  const command = new Command('find')
    .description('list the models, recipes and methods that there are')
    .addArgument(new Argument('[what]', 'what to list; all without it').choices(kinds))
  addOutput(command, 'print one JSON object')
  return command
    .addHelpText('after', examples('vitune find', 'vitune find models', 'vitune find methods --json'))
    .action(run)
}
