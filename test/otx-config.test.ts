// Configurations of OTX 2.6.0 and getitune 0.4.0 as they stand: the recipes of their wheels, the flags that both command lines
// have, and what is refused. test/fixtures/recipes/NOTICE.md says where the files are from.
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { settingsFromOtx } from 'vitune/configurations'
import { parse } from 'yaml'
import { configText, parseConfig, readConfig } from '../src/cli/config-file.ts'
import { carryDotted } from '../src/cli/dotted.ts'
import { InputError } from '../src/platform/errors.ts'
import { checkSettings, complete } from '../src/settings/setting-rules.ts'
import type { TrainSettings } from '../src/settings/settings.ts'
import { images, model, output, refusal, start, temporary, vitune } from './cli-tools.ts'

const recipes = fileURLToPath(new URL('fixtures/recipes/', import.meta.url))
const { folder, clean } = temporary()
test.after(clean)
const file = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}
const flags = (...args: string[]) => carryDotted(args).filter((arg) => arg !== '--set')

/** The configuration of the issue of every user of OTX: a method chosen in the file. */
const plain = (peft: string, more = '') => `task: MULTI_CLASS_CLS
model:
  class_path: otx.backend.native.models.classification.multiclass_models.vit.VisionTransformerMulticlassCls
  init_args:
    label_info: 1000
    model_name: "dinov2-small"
    peft: ${peft}
${more}    optimizer:
      class_path: torch.optim.AdamW
      init_args: { lr: 0.0001, weight_decay: 0.05 }
`

const crop = { area: [0.08, 1], aspect: [0.75, 1.34] }
const jiggle = { brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.05, p: 0.5 }
/** What the recipes of Lightning's engine have in common. */
const native = {
  ...{
    epochs: 90,
    batchSize: 64,
    lr: 1e-4,
    weightDecay: 0.05,
    optimizer: 'adamw',
    sampler: 'balanced',
    inputSize: 224,
  },
  ...{ schedule: 'plateau', plateauFactor: 0.5, plateauPatience: 3, warmup: 0, valEvery: 'adaptive' },
  ...{ patience: 5, minDelta: 0, patienceWarmup: 3, patienceWarmupSteps: 100, peft: 'full', device: 'auto' },
}
const trainer = {
  ...{
    epochs: 90,
    batchSize: 64,
    lr: 1e-4,
    weightDecay: 1e-4,
    optimizer: 'adamw',
    sampler: 'balanced',
    inputSize: 256,
  },
  ...{ schedule: 'cosine', warmup: '11%', clip: 1, patience: 10, peft: 'full', device: 'auto', valEvery: 1 },
  ...{ recipe: 'getitune', augment: { crop, flip: 0.5, colorJiggle: jiggle } },
}
const otx = { ...native, recipe: 'otx', augment: { crop, flip: 0.5 } }
const getitune = { ...native, recipe: 'getitune', augment: { crop, flip: 0.5, colorJiggle: jiggle } }
const dinov2 = { model: 'facebook/dinov2-with-registers-small' }
const tiny = { model: 'timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k' }
const dinov3 = (size: string) => ({ model: `timm/vit_${size}_patch16_dinov3.lvd1689m` })
const b16 = { model: 'google/vit-base-patch16-224', inputSize: 224, weightDecay: 0.05, warmup: '10%' }
const aal = { task: 'multilabel', loss: 'aal', threshold: 0.5 }
const bce = { task: 'multilabel', loss: 'bce', threshold: 0.5, monitor: 'map' }
const multiclass = { task: 'multiclass' }
const tree = { task: 'hierarchical', decoding: 'threshold', monitor: 'otx_accuracy' }

const expected: Record<string, object> = {
  'otx-2.6.0/multi_class_cls/dino_v2': { ...otx, ...dinov2, ...multiclass, monitor: 'accuracy' },
  'otx-2.6.0/multi_class_cls/deit_tiny': { ...otx, ...tiny, ...multiclass, monitor: 'accuracy' },
  'otx-2.6.0/multi_label_cls/dino_v2': { ...otx, ...dinov2, ...aal, monitor: 'accuracy' },
  'otx-2.6.0/multi_label_cls/deit_tiny': { ...otx, ...tiny, ...aal, monitor: 'accuracy', epochs: 200 },
  'otx-2.6.0/h_label_cls/dino_v2': { ...otx, ...dinov2, ...tree },
  'otx-2.6.0/h_label_cls/deit_tiny': { ...otx, ...tiny, ...tree },
  'getitune-0.4.0/multi_class_cls/dino_v2': { ...getitune, ...dinov2, ...multiclass, monitor: 'f1' },
  'getitune-0.4.0/multi_class_cls/vit_tiny': { ...getitune, ...tiny, ...multiclass, monitor: 'f1' },
  'getitune-0.4.0/multi_class_cls/vit_b16': { ...trainer, ...b16, ...multiclass, monitor: 'f1' },
  'getitune-0.4.0/multi_class_cls/dinov3_vits': { ...trainer, ...dinov3('small'), ...multiclass, monitor: 'f1' },
  'getitune-0.4.0/multi_class_cls/dinov3_vitb16': { ...trainer, ...dinov3('base'), ...multiclass, monitor: 'f1' },
  'getitune-0.4.0/multi_class_cls/dinov3_vitl16': {
    ...{ ...trainer, ...dinov3('large'), ...multiclass, monitor: 'f1' },
    ...{ batchSize: 16, lr: 5e-5 },
  },
  'getitune-0.4.0/multi_label_cls/dino_v2': { ...getitune, ...dinov2, ...aal, monitor: 'map' },
  'getitune-0.4.0/multi_label_cls/vit_tiny': { ...getitune, ...tiny, ...aal, monitor: 'map', epochs: 200 },
  'getitune-0.4.0/multi_label_cls/vit_b16': { ...trainer, ...b16, ...bce },
  'getitune-0.4.0/multi_label_cls/dinov3_vits': { ...trainer, ...dinov3('small'), ...bce },
  'getitune-0.4.0/multi_label_cls/dinov3_vitb16': { ...trainer, ...dinov3('base'), ...bce, batchSize: 32 },
  'getitune-0.4.0/multi_label_cls/dinov3_vitl16': { ...trainer, ...dinov3('large'), ...bce, batchSize: 16, lr: 5e-5 },
}
const pathOf = (name: string) => {
  const [release, task, recipe] = name.split('/')
  return join(recipes, release!, 'classification', task!, `${recipe}.yaml`)
}

test('every recipe of ViT, DeiT, DINOv2 and DINOv3 is the settings that it stands for', async () => {
  const there = readdirSync(recipes, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('_cls'))
  assert.is(there.filter((name) => name.endsWith('.yaml')).length, Object.keys(expected).length)
  for (const [name, wanted] of Object.entries(expected)) {
    const { settings, notes, missing } = await readConfig(pathOf(name))
    const sorted = (table: object) => Object.fromEntries(Object.entries(table).sort())
    assert.equal(sorted(settings), sorted(wanted), name)
    // What means nothing is named once.
    assert.is(notes.filter((note) => note.startsWith('mean nothing here: ')).length, 1, name)
    assert.is(missing !== undefined, name.includes('dinov3'), name)
    if (missing)
      assert.match(
        missing,
        /line 6: model\.init_args\.checkpoint: .* DINOv3 is a family of models that is not here yet; /,
      )
  }
})

test('what is printed of a recipe is read again as the same settings', async () => {
  for (const name of Object.keys(expected)) {
    const { settings } = await readConfig(pathOf(name))
    const text = configText(settings)
    const { lr: _, ...again } = complete(parseConfig(text, name), [])
    const { lr: __, ...first } = complete(settings, [])
    assert.equal(again, first, name)
    assert.is(configText(parseConfig(text, name)), text)
  }
})

test('without the file of data beside it, a recipe has what that file holds in its package, and says so', async () => {
  for (const name of ['otx-2.6.0/multi_class_cls/dino_v2', 'getitune-0.4.0/multi_label_cls/dino_v2']) {
    const alone = file('alone.yaml', readFileSync(pathOf(name), 'utf8'))
    const { settings, notes } = await readConfig(alone)
    // The model reads 224 px by itself.
    assert.equal({ ...settings, inputSize: 224 }, { ...(await readConfig(pathOf(name))).settings })
    assert.match(notes.join('\n'), /^data: \.\.\/\.\.\/_base_\/data\/classification\.yaml is not beside it, so /m)
  }
})

test('peft and freeze_backbone are the methods that they are there', () => {
  const said = (text: string) => settingsFromOtx(parse(text)).settings
  const asThere = { rank: 8, alpha: 8, targets: ['query', 'value'] }
  const method = ({ peft, rank, alpha, targets, lora }: Partial<TrainSettings>) => ({
    peft,
    rank,
    alpha,
    targets,
    lora,
  })
  const only = (table: object) => ({ rank: undefined, alpha: undefined, targets: undefined, lora: undefined, ...table })
  assert.equal(method(said(plain('"dora"'))), { peft: 'dora', ...asThere, lora: { doraNormGradient: true } })
  assert.equal(method(said(plain('lora'))), only({ peft: 'lora', ...asThere }))
  for (const none of ['""', '~', 'null']) assert.equal(method(said(plain(none))), only({ peft: 'full' }))
  assert.equal(method(said(plain('""', '    freeze_backbone: true\n'))), only({ peft: 'linear' }))
  // Nothing else is said there: what the engine does by itself.
  const { settings, notes } = settingsFromOtx(parse(plain('""')))
  assert.equal([settings.epochs, settings.schedule, settings.patience, settings.recipe], [200, 'constant', 0, 'otx'])
  for (const note of [
    /^label_info gives way to the labels of the data$/m,
    /^dinov2-small is facebook\/dinov2-with-registers-small: /m,
    /^ConstantLR begins with a third of the rate for 5 epochs; /m,
    /^left out, so as there: max_epochs 200; data: /m,
  ])
    assert.match(notes.join('\n'), note)
})

test('other classes of the table, and their defaults, are what PyTorch and Lightning have', () => {
  const said = (...given: string[]) =>
    settingsFromOtx(parse(plain('""')), { overrides: given.map((one) => one.split('=') as [string, unknown]) })
  const sgd = said('model.optimizer=torch.optim.SGD')
  assert.equal([sgd.settings.optimizer, sgd.settings.lr, sgd.settings.weightDecay], ['sgd', 1e-4, 0])
  assert.match(
    sgd.notes.join('\n'),
    /momentum 0\.9 here, not 0: a rate of 0\.0001 makes the same steps as 0\.001 there/,
  )
  const plateau = said('model.scheduler=lightning.pytorch.cli.ReduceLROnPlateau').settings
  assert.equal([plateau.schedule, plateau.plateauFactor, plateau.plateauPatience], ['plateau', 0.1, 10])
  const cosine = settingsFromOtx(parse(plain('""')), {
    overrides: [
      ['model.scheduler', { class_path: 'torch.optim.lr_scheduler.CosineAnnealingLR', init_args: { T_max: 50 } }],
    ],
  })
  assert.is(cosine.settings.schedule, 'cosine')
  assert.match(cosine.notes.join('\n'), /T_max is 50; here a cosine falls over all 200 epochs/)
  const warm = settingsFromOtx(parse(plain('""')), {
    overrides: [
      [
        'model.scheduler',
        {
          class_path: 'LinearWarmupSchedulerCallable',
          init_args: {
            num_warmup_steps: 4,
            warmup_interval: 'epoch',
            main_scheduler_callable: { class_path: 'torch.optim.lr_scheduler.ConstantLR', init_args: { factor: 1 } },
          },
        },
      ],
      [
        'callbacks',
        [{ class_path: 'lightning.pytorch.callbacks.EarlyStopping', init_args: { monitor: 'val/loss', mode: 'min' } }],
      ],
    ],
  }).settings
  assert.equal([warm.warmup, warm.schedule, warm.patience, warm.monitor], ['2%', 'constant', 3, 'loss'])
})

test('transforms that the packages ship switched off are the changes of images that they name', () => {
  const base = parse(readFileSync(join(recipes, 'otx-2.6.0/_base_/data/classification.yaml'), 'utf8'))
  for (const one of base.train_subset.transforms) delete one.enable
  const { settings } = settingsFromOtx({ ...parse(plain('""')), data: base })
  checkSettings(settings)
  const { augment } = settings
  assert.equal(augment, {
    crop,
    photometric: {
      brightness: [0.875, 1.125],
      contrast: [0.5, 1.5],
      saturation: [0.5, 1.5],
      hue: [-0.05, 0.05],
      p: 0.5,
    },
    affine: { degrees: 10, translate: 0.1, scale: [0.5, 1.5], shear: 2, p: 1 },
    flip: 0.5,
    verticalFlip: 0.5,
    blur: { kernel: 5, sigma: [0.1, 2], p: 0.5 },
    noise: { sigma: 0.1, p: 0.5 },
  })
})

test('dotted flags are keys of the configuration there, alone too, and reach tables of ours', async () => {
  const recipe = pathOf('otx-2.6.0/multi_class_cls/dino_v2')
  const { settings } = await readConfig(
    recipe,
    flags(
      ...['--model.peft', 'dora', '--model.optimizer.init_args.lr=1e-3', '--max_epochs', '5', '--engine.device', 'cpu'],
      ...[
        '--data.train_subset.batch_size',
        '8',
        '--data_root',
        'IMAGES',
        '--lora.initLoraWeights',
        'gaussian',
        '--augment.flip',
        '0.2',
      ],
    ),
  )
  assert.equal(
    [settings.peft, settings.lr, settings.epochs, settings.device, settings.batchSize, settings.data],
    ['dora', 1e-3, 5, 'wasm', 8, 'IMAGES'],
  )
  assert.equal(settings.lora, { doraNormGradient: true, initLoraWeights: 'gaussian' })
  assert.equal(settings.augment, { crop, flip: 0.2 })
  const alone = async (...args: string[]) => (await readConfig(undefined, flags(...args))).settings
  assert.equal(await alone('--model.freeze_backbone', 'true'), { peft: 'linear' })
  assert.equal(await alone('--model.init_args.peft', '""', '--max_epochs', '3'), { epochs: 3, peft: 'full' })
  assert.equal(await alone('--augment.crop.area', '0.5,1', '--lora.alpha', '8'), {
    augment: { crop: { area: [0.5, 1] } },
    lora: { alpha: 8 },
  })
  const line = '--data_root IMAGES --work_dir RUN --model.peft lora --precision 32 --deterministic warn --seed 3'
  const { out, peft, data } = await alone(...line.split(' ').slice(0, -2))
  assert.equal([out, peft, data], ['RUN', 'lora', 'IMAGES'])
  // A flag of the method takes the place of what the configuration says with it.
  const dora = file('dora.yaml', plain('dora'))
  assert.equal((await readConfig(dora, [], 'linear')).settings.rank, undefined)
  assert.equal((await readConfig(dora, flags('--model.optimizer', 'torch.optim.SGD'))).settings.optimizer, 'sgd')
})

const refused: [string, RegExp][] = [
  [
    plain('dorra'),
    /^c\.yaml: line 7: model\.init_args\.peft: must be one of lora, dora, or an empty text, got dorra; did you mean dora\?$/,
  ],
  [
    plain('dora', '    freeze_backbone: true\n'),
    /^c\.yaml: line 8: model\.init_args\.freeze_backbone: contradicts peft dora, /,
  ],
  [
    plain('dora', '    freeze_backbone: 1\n'),
    /^c\.yaml: line 8: model\.init_args\.freeze_backbone: must be true or false, got 1$/,
  ],
  [plain('""', '    frozen: true\n'), /^c\.yaml: line 8: model\.init_args\.frozen: is no key here; /],
  [
    plain('""').replace('MULTI_CLASS_CLS', 'MULTI_LABEL_CLS'),
    /^c\.yaml: line 1: task: is of multilabel, where model\.class_path is of multiclass$/,
  ],
  [
    plain('""').replace(
      'multiclass_models.vit.VisionTransformerMulticlassCls',
      'multiclass_models.efficientnet.EfficientNetMulticlassCls',
    ),
    /^c\.yaml: line 3: model\.class_path: is no model that is known here, got /,
  ],
  [
    plain('""').replace('MulticlassCls', 'MulticlasCls'),
    /did you mean otx\.backend\.native\.models\.classification\.multiclass_models\.vit\.VisionTransformerMulticlassCls\?$/,
  ],
  [
    plain('""').replace('lr: 0.0001', 'lr: fast'),
    /^c\.yaml: line 10: model\.init_args\.optimizer\.init_args\.lr: must be above 0, got fast$/,
  ],
  [
    plain('""').replace('weight_decay', 'weight_dekay'),
    /line 10: .*weight_dekay: is no key here; did you mean weight_decay\?$/,
  ],
  [
    plain('""').replace('torch.optim.AdamW', 'torch.optim.AdanW'),
    /line 9: .*is no optimizer that is known here, got torch\.optim\.AdanW; did you mean torch\.optim\.AdamW\?$/,
  ],
  [`${plain('""')}max_epoch: 5\n`, /^c\.yaml: line 11: max_epoch: is no key here; did you mean max_epochs\?$/],
  [
    `${plain('""')}callback_monitor: val/acuracy\n`,
    /^c\.yaml: line 11: callback_monitor: must be one of val\/accuracy, .*; did you mean val\/accuracy\?$/,
  ],
  [
    `${plain('""')}callbacks:\n  - class_path: lightning.pytorch.callbacks.EarlyStopping\n    init_args: { monitor: val/accuracy, mode: min }\n`,
    /^c\.yaml: line 13: callbacks\[0\]\.init_args\.mode: contradicts val\/accuracy, /,
  ],
  [
    `${plain('""')}overrides: { max_epochs: many }\n`,
    /^c\.yaml: line 11: max_epochs: must be a whole number from 1, got many$/,
  ],
  [`${plain('""')}__proto__: { max_epochs: 5 }\n`, /^c\.yaml: line 11: __proto__: is no key here; /],
  [
    `${plain('""')}data: { input_size: [224, 256] }\n`,
    /^c\.yaml: line 11: data\.input_size: must be one side in pixels, /,
  ],
  [
    'task: SEMANTIC_SEGMENTATION\nengine: {}\n',
    /^c\.yaml: line 1: task: must be one of MULTI_CLASS_CLS, MULTI_LABEL_CLS, H_LABEL_CLS, got SEMANTIC_SEGMENTATION/,
  ],
  [
    'engine: { device: cpu }\nmodel: vit-tiny\n',
    /^c\.yaml: line 2: model\.class_path: is no model that is known here, got vit-tiny/,
  ],
  ['model: &a { class_path: x }\ndata: *a\n', /^c\.yaml: may have no aliases, got "\*a"; write it out$/],
  ['model: !!python/object:os.system { class_path: x }\n', /^c\.yaml: line 1: must be YAML; /],
]

test('what cannot be meant is refused in a sentence with file, line, key and the nearest one', () => {
  for (const [text, message] of refused) {
    let said = ''
    try {
      said = JSON.stringify(parseConfig(text, 'c.yaml'))
    } catch (error) {
      assert.instance(error, InputError, String(error))
      said = (error as Error).message
    }
    assert.match(said, message, text)
  }
  assert.throws(() => settingsFromOtx(parse(plain('dorra'))), /^model\.init_args\.peft: must be one of/)
  assert.throws(() => settingsFromOtx([] as never), /^configuration: must be an object/)
})

test('flags that mean nothing are refused with the nearest, and files that are not a recipe’s are not read', async () => {
  const said = (path: string | undefined, ...args: string[]) =>
    readConfig(path, flags(...args)).then(String, (error: Error) => error.message)
  assert.match(await said(undefined, '--model.pefft', 'dora'), /^--model\.pefft: is no key here; did you mean peft\?$/)
  assert.match(
    await said(undefined, '--max_epoch', '5'),
    /^--max_epoch: is no option here; did you mean --max_epochs\?$/,
  )
  assert.match(
    await said(undefined, '--batch_size', '5'),
    /^--batch_size: is no option here; did you mean --batch-size\?$/,
  )
  assert.match(await said(undefined, '--model.peft', '[1'), /^--model\.peft: must be a value of YAML; /)
  assert.match(await said(undefined, '--model.peft', '{a: *b}'), /^--model\.peft: may have no aliases/)
  assert.match(await said(undefined, '--engine.device', 'tpu'), /^--engine\.device: must be one of auto, cpu, /)
  for (const elsewhere of ['/etc/passwd', '../../../../_base_/data/a.yaml', 'other.yaml', '_base_/data/../../a.yaml']) {
    const recipe = file('elsewhere.yaml', `${plain('""')}data: ${elsewhere}\n`)
    assert.match(await said(recipe), /data: must be a file like \.\.\/\.\.\/_base_\/data\/classification\.yaml, got /)
  }
  assert.throws(() => carryDotted(['--model.peft']), /^--model\.peft: must be given a value, got none$/)
})

test('a configuration of OTX trains a folder of one’s own, as the program has it', async () => {
  const data = await images(join(folder, 'data'), 4)
  for (const [name, text, method] of [
    ['dora', plain('"dora"'), 'dora'],
    ['linear', plain('""', '    freeze_backbone: true\n'), 'linear'],
  ] as const) {
    const out = join(folder, name)
    const path = file(`${name}.yaml`, text)
    const given = ['--config', path, '--model', model, '--data', data, '--threads', '1', '--max_epochs', '1']
    const { code, err } = await vitune('train', ...given, '--out', out)
    assert.is(code, 0, err)
    assert.match(err, /^label_info gives way to the labels of the data$/m)
    assert.not.match(err, /dinov2-small is/)
    const run = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
    const { peft, lr, batchSize, sampler, epochs, weightDecay } = run.settings
    assert.equal([peft, lr, batchSize, sampler, epochs, weightDecay], [method, 1e-4, 64, 'balanced', 1, 0.05])
    assert.is(existsSync(join(out, 'adapter_config.json')), method === 'dora')
  }
  assert.equal(carryDotted(['--print_config', '--peft', 'lora']), ['--print-config', '--peft', 'lora'])
  const dinov3 = pathOf('getitune-0.4.0/multi_class_cls/dinov3_vits')
  const never = join(folder, 'never')
  assert.match(
    await refusal('train', '--config', dinov3, '--data', data, '--out', never, '--engine.device', 'cpu'),
    /DINOv3/,
  )
  assert.not.ok(existsSync(never))
})

test('recipes of several labels and of trees train on such data', async () => {
  const colours = await images(join(folder, 'colours'), 4)
  const rows = ['red', 'green', 'blue'].flatMap((name, at) =>
    [0, 1, 2, 3].map(
      (i) => `${name}/${i}.${i % 2 === 1 ? 'jpg' : 'png'},${[0, 1, 2].map((k) => Number(k === at || k === i))}`,
    ),
  )
  const many = join(colours, 'labels.csv')
  writeFileSync(many, ['path,red,green,blue', ...rows].join('\n'))
  const tree = join(folder, 'tree')
  for (const [kind, names] of Object.entries({ warm: ['red', 'orange'], cold: ['blue', 'grey'] }))
    await images(join(tree, kind), 4, names)
  for (const [name, data, task, monitor] of [
    ['otx-2.6.0/h_label_cls/dino_v2', tree, 'hierarchical', 'otx_accuracy'],
    ['getitune-0.4.0/multi_label_cls/dinov3_vits', many, 'multilabel', 'map'],
  ] as const) {
    const out = join(folder, task)
    const given = [
      '--config',
      pathOf(name),
      '--data',
      data,
      '--model',
      model,
      '--input-size',
      '16',
      '--max_epochs',
      '1',
    ]
    await output('train', ...given, '--threads', '1', '--out', out)
    const run = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
    assert.equal([run.settings.task, run.settings.monitor, run.settings.batchSize], [task, monitor, 64])
  }
})

test('the commands of docs/configurations.md run as they stand', async () => {
  const place = join(folder, 'docs')
  await images(join(place, 'IMAGES'), 4)
  cpSync(model, join(place, 'MODEL'), { recursive: true })
  cpSync(pathOf('otx-2.6.0/multi_class_cls/dino_v2'), join(place, 'dino_v2.yaml'))
  const page = readFileSync(new URL('../docs/configurations.md', import.meta.url), 'utf8')
  const lines = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, text]) => text!.trim().split('\n'))
  assert.is(lines.length, 5)
  for (const line of lines) {
    const [command, to] = line.split(' > ')
    const { code, out, err } = await start(command!.split(' ').slice(1), { cwd: place }).ended
    assert.is(code, 0, `${line}\n${err}`)
    if (to !== undefined) writeFileSync(join(place, to), out)
  }
  const settings = (run: string) => JSON.parse(readFileSync(join(place, run, 'run.json'), 'utf8')).settings
  const methods = ['RUN', 'AGAIN', 'LINEAR', 'FLIPS'].map((run) => settings(run).peft)
  assert.equal(methods, ['full', 'dora', 'linear', 'lora'])
  assert.equal([settings('FLIPS').lora.alpha, settings('FLIPS').augment], [16, { flip: 0.2 }])
})

test.run()
