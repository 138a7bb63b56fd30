// The one table of classes that configurations of OTX 2.6 and getitune 0.4 name, and what each is here. Where a file leaves an
// argument out, the default of the class holds; its source stands beside it. Transforms of images are in transforms.ts.
import {
  above,
  atLeast,
  between,
  choice,
  either,
  emptyText,
  flag,
  part,
  share,
  text,
  whole,
} from '../../schema/rules.ts'
import { modelNames, notHere } from './models.ts'
import {
  type ClassOf,
  type Draft,
  type Entry,
  fixed,
  idle,
  inputSize,
  note,
  type Path,
  problem,
  type Reader,
  type Table,
  walk,
  walkClass,
} from './reading.ts'
import { transforms } from './transforms.ts'

type Entries = Readonly<Record<string, Entry>>
type TaskName = Draft['tasks'][number]['task']

const count = whole(0)

/** The same class in both packages. */
const native = (path: string, kind: ClassOf): Record<string, ClassOf> => ({
  [`otx.backend.native.${path}`]: kind,
  [`getitune.backend.lightning.${path}`]: kind,
})
/** Under any of these names. */
const under = (paths: readonly string[], kind: ClassOf): Record<string, ClassOf> =>
  Object.fromEntries(paths.map((path) => [path, kind]))
const lightning = (path: string) => [`lightning.pytorch.${path}`, `pytorch_lightning.${path}`]

/** Labels come from the data there too: OTX puts those of the data in the place of label_info. */
const labelInfo: Reader = (value, _, draft) => {
  if (value !== null) note(draft, 'label_info gives way to the labels of the data')
}

export const device: Reader = (value, path, draft) => {
  if (value === null) return
  const found = ({ auto: 'auto', cpu: 'wasm', gpu: 'webgpu', cuda: 'webgpu', xpu: 'webgpu' } as const)[
    String(value).replace(/:\d+$/, '')
  ]
  if (!found) return problem(draft, path, `must be one of auto, cpu, gpu, cuda, xpu, got ${JSON.stringify(value)}`)
  draft.settings.device = found
}

const dataInput: Reader = (value, path, draft) => {
  walk(value, { input_size: inputSize, ...idle('mean', 'std', 'intensity_config') }, path, draft)
}

/** What a method is there: rank 8, a scaling of 1 (alpha itself in OTX, alpha / rank in PEFT), q and v; DoRA's norm passes gradients. */
const asThere = { rank: 8, alpha: 8, targets: ['query', 'value'] }
const methods: Readonly<Record<string, Partial<Draft['settings']>>> = {
  lora: { peft: 'lora', ...asThere },
  dora: { peft: 'dora', ...asThere, lora: { doraNormGradient: true } },
}

/** The fine-tuning method that `peft` and `freeze_backbone` say; both are off by default. */
function method(args: Table, draft: Draft, path: Path): void {
  const chosen = args.peft || (args.lora === true ? 'lora' : '')
  if (chosen && args.freeze_backbone === true) {
    problem(
      draft,
      [...path, 'init_args', 'freeze_backbone'],
      `contradicts peft ${chosen}, whose adapter it would freeze too; leave one of them out`,
    )
  } else if (chosen) Object.assign(draft.settings, methods[String(chosen)])
  else if (args.freeze_backbone === true) draft.settings.peft = 'linear'
  else if (draft.model || args.peft === '' || args.freeze_backbone === false) draft.settings.peft = 'full'
}

function namedModel(name: unknown, draft: Draft): void {
  const stand = modelNames[String(name)]
  if (!stand) return
  draft.settings.model = stand.name
  note(draft, `${name} is ${stand.name}: ${stand.differs}`)
}

const vitArgs: Entries = {
  label_info: labelInfo,
  model_name: choice(Object.keys(modelNames)),
  freeze_backbone: flag,
  // OTX's command line makes None of an empty text.
  peft: either(choice(['lora', 'dora']), emptyText),
  // What peft was before it was a word.
  lora: flag,
  optimizer: (value, path, draft) => walkClass(value, 'optimizer', classes, path, draft),
  scheduler: (value, path, draft) => walkClass(value, 'scheduler', classes, path, draft),
  data_input_params: dataInput,
  pretrained: fixed(true),
  pretrained_weights: fixed(null),
  ...idle('metric', 'torch_compile'),
}

/** A ViT of Lightning's engine in either package; the model that is named where none is, is its default. */
const vit = (task: TaskName, settings: Partial<Draft['settings']> = {}): ClassOf => ({
  role: 'model',
  args: vitArgs,
  apply(args, draft, path) {
    Object.assign(draft.settings, { task, ...settings })
    draft.tasks.push({ path: [...path, 'class_path'], task })
    namedModel(args.model_name ?? 'vit-tiny', draft)
    method(args, draft, path)
  },
})

/** A model of an override that stands alone: what it says, and nothing of what it leaves out. */
export const modelAlone: ClassOf = {
  role: 'model',
  args: vitArgs,
  apply(args, draft, path) {
    namedModel(args.model_name, draft)
    if (args.peft !== undefined || args.lora !== undefined || args.freeze_backbone !== undefined)
      method(args, draft, path)
  },
}

/** A model of getitune's Hugging Face backend, from a repository. */
const repository = (task: TaskName, settings: Partial<Draft['settings']> = {}): ClassOf => ({
  role: 'model',
  trainer: true,
  args: {
    label_info: labelInfo,
    checkpoint: text('the name of a repository or a folder'),
    input_size: inputSize,
    data_input_params: dataInput,
    pretrained: fixed(true),
    pretrained_weights: text('a folder'),
    extra_overrides: (value, path, draft) => {
      const { freeze_backbone } = walk(value, { freeze_backbone: flag, problem_type: 'idle' }, path, draft)
      if (freeze_backbone === true) draft.settings.peft = 'linear'
    },
    resize_mode: fixed('standard'),
    onnx_dynamo: 'idle',
  },
  apply(args, draft, path) {
    Object.assign(draft.settings, { task, peft: draft.settings.peft ?? 'full', ...settings })
    draft.tasks.push({ path: [...path, 'class_path'], task })
    const model = args.pretrained_weights ?? args.checkpoint
    if (typeof model !== 'string') return problem(draft, path, 'must name its checkpoint in init_args')
    draft.settings.model = model
    const why = notHere(model)
    if (why) draft.missing = { path: [...path, 'init_args', 'checkpoint'], text: `${model}: ${why}` }
  },
})

const huggingface = 'getitune.backend.huggingface.models'
const vits = 'models.classification'

const models: Record<string, ClassOf> = {
  ...native(`${vits}.multiclass_models.vit.VisionTransformerMulticlassCls`, vit('multiclass')),
  // The loss and the threshold are those of both packages' multi-label ViT.
  ...native(
    `${vits}.multilabel_models.vit.VisionTransformerMultilabelCls`,
    vit('multilabel', { loss: 'aal', threshold: 0.5 }),
  ),
  // OTX 2.6 alone has it. A tree is gone down level by level there.
  [`otx.backend.native.${vits}.hlabel_models.vit.VisionTransformerHLabelCls`]: vit('hierarchical', {
    decoding: 'threshold',
  }),
  [`${huggingface}.classification.HFMulticlassClsModel`]: repository('multiclass'),
  [`${huggingface}.classification.HFMultilabelClsModel`]: repository('multilabel', { loss: 'bce', threshold: 0.5 }),
  [`${huggingface}.dinov3_classification.HFDinov3MulticlassClsModel`]: repository('multiclass'),
  [`${huggingface}.dinov3_classification.HFDinov3MultilabelClsModel`]: repository('multilabel', {
    loss: 'bce',
    threshold: 0.5,
  }),
}

const optimizerArgs: Entries = {
  lr: above(0),
  weight_decay: atLeast(0),
  maximize: fixed(false),
  ...idle('params', 'foreach', 'fused', 'capturable', 'differentiable'),
}
const adam: Entries = { ...optimizerArgs, betas: fixed([0.9, 0.999]), eps: fixed(1e-8), amsgrad: fixed(false) }

/** With torch.optim's defaults (2.x): AdamW 1e-3 and a decay of .01; Adam no decay. */
const adamw = (decay: number): ClassOf => ({
  role: 'optimizer',
  args: adam,
  apply: ({ lr = 1e-3, weight_decay = decay }, { settings }) =>
    Object.assign(settings, { optimizer: 'adamw', lr, weightDecay: weight_decay }),
})

/** The momentum of SGD here. */
const momentumHere = 0.9

/** SGD's rate for the momentum that there is here: the same steps once momentum has built up. */
export function sgd(lr: number, momentum: number, decay: number, draft: Draft): void {
  const rate = momentum === momentumHere ? lr : Number(((lr * (1 - momentumHere)) / (1 - momentum)).toPrecision(6))
  Object.assign(draft.settings, { optimizer: 'sgd', lr: rate, weightDecay: decay })
  if (rate !== lr)
    note(
      draft,
      `SGD has momentum ${momentumHere} here, not ${momentum}: a rate of ${rate} makes the same steps as ${lr} there`,
    )
}

const optimizers: Record<string, ClassOf> = {
  'torch.optim.AdamW': adamw(0.01),
  'torch.optim.Adam': {
    role: 'optimizer',
    args: { ...adam, weight_decay: fixed(0) },
    apply: adamw(0).apply!,
  },
  'torch.optim.SGD': {
    role: 'optimizer',
    args: { ...optimizerArgs, momentum: part, dampening: fixed(0), nesterov: fixed(false) },
    apply: ({ lr = 1e-3, momentum = 0, weight_decay = 0 }, draft) =>
      sgd(lr as number, momentum as number, weight_decay as number, draft),
  },
}

const monitored = (args: Table, draft: Draft, path: Path, name = 'monitor'): void => {
  if (args[name] !== undefined) draft.monitors.push({ path: [...path, 'init_args', name], name: String(args[name]) })
}
/** Which way a metric is better is the metric's own to say here. */
const modeOf: Entries = { mode: choice(['min', 'max']), monitor: text('the name of a metric') }
const sayMode = (args: Table, draft: Draft, path: Path): void => {
  monitored(args, draft, path)
  if (args.mode !== undefined)
    draft.modes.push({
      path: [...path, 'init_args', 'mode'],
      mode: String(args.mode),
      ...(args.monitor === undefined ? {} : { metric: String(args.monitor) }),
    })
}

/** torch.optim.lr_scheduler.ReduceLROnPlateau's defaults: factor .1, patience 10, relative threshold 1e-4. */
const plateau: ClassOf = {
  role: 'scheduler',
  args: {
    ...modeOf,
    factor: between,
    patience: count,
    threshold: fixed(1e-4),
    threshold_mode: fixed('rel'),
    cooldown: fixed(0),
    min_lr: fixed(0),
    eps: fixed(1e-8),
    ...idle('optimizer', 'verbose'),
  },
  apply(args, draft, path) {
    const { factor = 0.1, patience = 10 } = args
    Object.assign(draft.settings, { schedule: 'plateau', plateauFactor: factor, plateauPatience: patience })
    sayMode(args, draft, path)
  },
}

const stepOrEpoch = choice(['step', 'epoch'])
const warmup = (steps: unknown, unit: unknown, draft: Draft): void => {
  if (unit === 'epoch') draft.warmupEpochs = steps as number
  else draft.settings.warmup = steps as number
}

const schedulers: Record<string, ClassOf> = {
  ...Object.assign(
    {},
    ...['schedulers', 'schedulers.warmup_schedulers'].map((path) => ({
      ...native(`${path}.LinearWarmupSchedulerCallable`, {
        role: 'scheduler',
        args: {
          num_warmup_steps: count,
          warmup_interval: stepOrEpoch,
          monitor: text('the name of a metric'),
          main_scheduler_callable: (value, at, draft) => walkClass(value, 'scheduler', classes, at, draft),
        },
        apply(args, draft, at) {
          warmup(args.num_warmup_steps ?? 0, args.warmup_interval, draft)
          monitored(args, draft, at)
        },
      }),
      ...native(`${path}.LinearWarmupScheduler`, {
        role: 'scheduler',
        args: { num_warmup_steps: count, interval: stepOrEpoch, optimizer: 'idle' },
        apply: ({ num_warmup_steps = 1000, interval }, draft) => warmup(num_warmup_steps, interval, draft),
      }),
    })),
  ),
  ...under(['lightning.pytorch.cli.ReduceLROnPlateau', 'torch.optim.lr_scheduler.ReduceLROnPlateau'], plateau),
  'torch.optim.lr_scheduler.CosineAnnealingLR': {
    role: 'scheduler',
    args: { T_max: whole(1), eta_min: fixed(0), ...idle('optimizer', 'last_epoch', 'verbose') },
    apply({ T_max }, draft) {
      draft.settings.schedule = 'cosine'
      draft.cosineEpochs = T_max as number
    },
  },
  'torch.optim.lr_scheduler.ConstantLR': {
    role: 'scheduler',
    args: { factor: share, total_iters: count, ...idle('optimizer', 'last_epoch', 'verbose', 'interval') },
    // torch's defaults: a third of the rate in the first five epochs.
    apply: ({ factor = 1 / 3, total_iters = 5 }, draft) => constant(factor as number, total_iters as number, draft),
  },
}

/** A constant rate; what it would be at first is named. */
export function constant(factor: number, epochs: number, draft: Draft): void {
  draft.settings.schedule = 'constant'
  if (factor === 1 || epochs === 0) return
  const there = factor === 1 / 3 ? 'a third' : String(factor)
  note(
    draft,
    `ConstantLR begins with ${there} of the rate for ${epochs} epochs; here it is the whole rate from the start`,
  )
}

const stopping: Entries = {
  ...modeOf,
  min_delta: atLeast(0),
  patience: count,
  strict: 'idle',
  check_finite: fixed(true),
  stopping_threshold: fixed(null),
  divergence_threshold: fixed(null),
  check_on_train_epoch_end: fixed(false),
  ...idle('verbose', 'log_rank_zero_only'),
}
const adaptive = { interval: 5, decay: -0.025 }

const callbacks: Record<string, ClassOf> = {
  // Its own defaults: patience 10, a warm-up of 3 epochs or 100 steps, whichever is longer.
  ...native('callbacks.adaptive_early_stopping.EarlyStoppingWithWarmup', {
    role: 'callback',
    args: { ...stopping, warmup_iters: count, warmup_epochs: count },
    apply(args, draft, path) {
      const { patience = 10, min_delta = 0, warmup_epochs = 3, warmup_iters = 100 } = args
      Object.assign(draft.settings, {
        patience,
        minDelta: min_delta,
        patienceWarmup: warmup_epochs,
        patienceWarmupSteps: warmup_iters,
      })
      sayMode(args, draft, path)
    },
  }),
  // Lightning's defaults: patience 3.
  ...under([...lightning('callbacks.EarlyStopping'), ...lightning('callbacks.early_stopping.EarlyStopping')], {
    role: 'callback',
    args: stopping,
    apply(args, draft, path) {
      const { patience = 3, min_delta = 0 } = args
      Object.assign(draft.settings, { patience, minDelta: min_delta })
      sayMode(args, draft, path)
    },
  }),
  // The best and the last state are kept in any case.
  ...under([...lightning('callbacks.ModelCheckpoint'), ...lightning('callbacks.model_checkpoint.ModelCheckpoint')], {
    role: 'callback',
    args: {
      ...modeOf,
      ...idle(
        'dirpath',
        'filename',
        'verbose',
        'save_last',
        'save_top_k',
        'save_weights_only',
        'auto_insert_metric_name',
      ),
      ...idle(
        'every_n_train_steps',
        'train_time_interval',
        'every_n_epochs',
        'save_on_train_epoch_end',
        'enable_version_counter',
      ),
    },
    apply: sayMode,
  }),
  // Every engine adds it: an interval of up to 5 epochs, exp(-0.025 steps an epoch) * 5.
  ...native('callbacks.adaptive_train_scheduling.AdaptiveTrainScheduling', {
    role: 'callback',
    args: {
      max_interval: whole(1),
      decay: (value, _, draft) => {
        draft.decay = Number(value)
      },
      ...idle('min_earlystop_patience', 'min_lrschedule_patience'),
    },
    apply({ max_interval = adaptive.interval }, draft) {
      draft.settings.valEvery = max_interval === 1 ? 1 : 'adaptive'
      if (
        max_interval !== 1 &&
        (max_interval !== adaptive.interval || (draft.decay ?? adaptive.decay) !== adaptive.decay)
      ) {
        note(
          draft,
          `the interval of validation follows max_interval ${adaptive.interval} and decay ${adaptive.decay} here`,
        )
      }
    },
  }),
  ...Object.assign(
    {},
    ...[
      'iteration_timer.IterationTimer',
      'gpu_mem_monitor.GPUMemMonitor',
      'epoch_summary.EpochSummary',
      'lr_monitor.LearningRateMonitor',
      'batchsize_finder.BatchSizeFinder',
      'gpu_augmentation.GPUAugmentationCallback',
    ].map((path) => native(`callbacks.${path}`, { role: 'callback', args: 'idle' })),
  ),
  ...under(
    [
      'RichProgressBar',
      'TQDMProgressBar',
      'RichModelSummary',
      'ModelSummary',
      'LearningRateMonitor',
      'DeviceStatsMonitor',
      'Timer',
    ].flatMap((name) => lightning(`callbacks.${name}`)),
    { role: 'callback', args: 'idle' },
  ),
}

const replicas: Entries = idle('dataset', 'data_source', 'num_replicas', 'rank', 'generator', 'num_samples')
const samplers: Record<string, ClassOf> = {
  ...under(
    ['otx', 'getitune'].map((name) => `${name}.data.samplers.balanced_sampler.BalancedSampler`),
    {
      role: 'sampler',
      args: { efficient_mode: fixed(false), drop_last: fixed(false), n_repeats: fixed(1), ...replicas },
      apply: (_, { settings }) => Object.assign(settings, { sampler: 'balanced' }),
    },
  ),
  'torch.utils.data.RandomSampler': {
    role: 'sampler',
    args: { replacement: fixed(false), ...replicas },
    apply: (_, { settings }) => Object.assign(settings, { sampler: 'shuffle' }),
  },
  'torch.utils.data.SequentialSampler': {
    role: 'sampler',
    args: replicas,
    apply: (_, { settings }) => Object.assign(settings, { shuffle: false }),
  },
}

/** All classes by their full names. */
export const classes: Readonly<Record<string, ClassOf>> = {
  ...models,
  ...optimizers,
  ...schedulers,
  ...callbacks,
  ...samplers,
  ...transforms,
}
