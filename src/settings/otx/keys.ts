// The keys of a configuration of OTX 2.6 and getitune 0.4 by the place where they stand: what trains, the data with their subsets,
// the `training` of getitune's Hugging Face backend. Classes are in classes.ts.
import { isRecord } from '../../io/json.ts'
import { above, atLeast, choice, flag, part, share, text, whole } from '../../schema/rules.ts'
import type { TrainSettings } from '../settings.ts'
import { device, modelAlone } from './models.ts'
import {
  type Entry,
  fixed,
  goes,
  idle,
  inputSize,
  note,
  problem,
  type Reader,
  walk,
  walkClass,
  walkList,
} from './reading.ts'
import { imageLists, imagesOf } from './transforms.ts'

type Entries = Readonly<Record<string, Entry>>

const tasks: Readonly<Record<string, NonNullable<TrainSettings['task']>>> = {
  MULTI_CLASS_CLS: 'multiclass',
  MULTI_LABEL_CLS: 'multilabel',
  H_LABEL_CLS: 'hierarchical',
}
const taskWords = choice(Object.keys(tasks))

/** A task under its name there. That of the data is often left at another by the recipes, so it gives way to all others. */
const task =
  (counts: boolean): Reader =>
  (value, path, draft) => {
    const passed = walk({ task: value }, { task: taskWords }, path.slice(0, -1), draft).task
    if (passed === undefined) return
    const found = tasks[String(passed)]!
    draft.settings.task = found
    if (counts) draft.tasks.push({ path, task: found })
  }

/** The keys of a subset; those of training count, for the others the model says how images are read. */
const subset =
  (training: boolean): Reader =>
  (value, path, all) => {
    const draft = training ? all : { ...all, idle: new Set<string>() }
    const images: Entry = training ? imagesOf : 'idle'
    walk(
      value,
      {
        batch_size: training ? goes('batchSize', whole(1, 1_000_000)) : 'idle',
        ...Object.fromEntries(imageLists.map((key) => [key, images])),
        sampler: training ? (given, at, to) => walkClass(given, 'sampler', at, to) : 'idle',
        input_size: training ? inputSize : 'idle',
        intensity: (given, at, to) =>
          void walk(
            given,
            {
              storage_dtype: fixed('uint8'),
              mode: fixed('scale_to_unit'),
              max_value: fixed(255),
              ...idle(
                'window_center',
                'window_width',
                'percentile_low',
                'percentile_high',
                'scale_factor',
                'min_value',
                'repeat_channels',
              ),
            },
            at,
            to,
          ),
        ...idle('subset_name', 'transform_lib_type', 'num_workers', 'to_tv_image'),
      },
      path,
      draft,
    )
    if (!training) all.idle.add(String(path.at(-1)))
  }

export const dataKeys: Entries = {
  task: task(false),
  input_size: inputSize,
  image_color_channel: fixed('RGB'),
  data_root: goes('data', text('a folder of images or a file of labels')),
  train_subset: subset(true),
  val_subset: subset(false),
  test_subset: subset(false),
  tile_config: (value, path, draft) => {
    if (isRecord(value) && value.enable_tiler === true)
      problem(draft, [...path, 'enable_tiler'], 'is for detection, not for classification; take it out')
    else draft.idle.add('tile_config')
  },
  unannotated_items_ratio: fixed(0),
  ...idle(
    'data_format',
    'include_polygons',
    'ignore_index',
    'auto_num_workers',
    'device',
    'input_size_multiplier',
    'disable_infer_num_classes',
  ),
}

/** Not to begin anew is another command here. */
const resume: Reader = (value, path, draft) => {
  if (value === true) problem(draft, path, 'is a flag here, together with --out: vitune train --resume --out RUN')
}
const seed = whole(0, 2 ** 31 - 1)

export const monitor: Reader = (value, path, draft) => {
  const key = String(path.at(-1))
  const name = walk({ [key]: value }, { [key]: text('the name of a metric') }, path.slice(0, -1), draft)[key]
  if (name !== undefined) draft.monitors.push({ path, name: String(name) })
}

/** How a run goes, in both engines; what Lightning's trainer takes beside counts as well. */
const trainer: Entries = {
  max_epochs: goes('epochs', whole(1)),
  min_epochs: (value, path, draft) => {
    const passed = walk({ min_epochs: value }, { min_epochs: whole(0) }, path.slice(0, -1), draft).min_epochs as
      | number
      | undefined
    if (passed !== undefined && passed > 1)
      draft.settings.patienceWarmup = Math.max(passed, draft.settings.patienceWarmup ?? 0)
  },
  seed: goes('seed', seed),
  gradient_clip_val: goes('clip', atLeast(0)),
  gradient_clip_algorithm: fixed('norm'),
  accumulate_grad_batches: goes('accumulate', whole(1)),
  check_val_every_n_epoch: goes('valEvery', whole(1)),
  resume,
  checkpoint: fixed(null),
  ...idle(
    'adaptive_bs',
    'deterministic',
    'precision',
    'metric',
    'num_sanity_val_steps',
    'log_every_n_steps',
    'benchmark',
  ),
  ...idle(
    'enable_progress_bar',
    'enable_model_summary',
    'enable_checkpointing',
    'inference_mode',
    'strategy',
    'profiler',
    'plugins',
  ),
  ...idle(
    'sync_batchnorm',
    'use_distributed_sampler',
    'default_root_dir',
    'detect_anomaly',
    'barebones',
    'num_nodes',
    'devices',
    'accelerator',
  ),
}

const schedulesOfTrainer = {
  cosine: 'cosine',
  constant: 'constant',
  constant_with_warmup: 'constant',
  reduce_lr_on_plateau: 'plateau',
} as const
/** AdamW under any of the names that transformers has for it, and SGD. */
const optimizersOfTrainer = ['adamw_torch', 'adamw_torch_fused', 'adamw_hf', 'sgd'] as const

/** The `training` of getitune's Hugging Face backend: its own keys and TrainingArguments of transformers. */
export const training: Reader = (value, path, draft) => {
  const passed = walk(
    value,
    {
      max_epochs: goes('epochs', whole(1)),
      num_train_epochs: goes('epochs', whole(1)),
      batch: goes('batchSize', whole(1, 1_000_000)),
      per_device_train_batch_size: goes('batchSize', whole(1, 1_000_000)),
      learning_rate: goes('lr', above(0)),
      patience: goes('patience', whole(0)),
      weight_decay: goes('weightDecay', atLeast(0)),
      max_grad_norm: goes('clip', atLeast(0)),
      gradient_accumulation_steps: goes('accumulate', whole(1)),
      label_smoothing_factor: goes('labelSmoothing', part),
      gradient_checkpointing: goes('checkpointing', flag),
      val_check_interval: goes('valEvery', whole(1)),
      seed: goes('seed', seed),
      warmup_steps: goes('warmup', whole(0)),
      warmup_ratio: share,
      lr_scheduler_type: choice(Object.keys(schedulesOfTrainer)),
      optim: choice(optimizersOfTrainer),
      lr_scheduler_kwargs: (given, at, to) => {
        const { factor, patience } = walk(
          given,
          { factor: share, patience: whole(0), mode: 'idle', threshold: fixed(1e-4) },
          at,
          to,
        )
        if (factor !== undefined) to.settings.plateauFactor = factor as number
        if (patience !== undefined) to.settings.plateauPatience = patience as number
      },
      monitor,
      ...idle(
        'precision',
        'fp16',
        'bf16',
        'report_to',
        'logging_steps',
        'logging_strategy',
        'save_strategy',
        'eval_strategy',
        'dataloader_num_workers',
        'output_dir',
        'devices',
        'per_device_eval_batch_size',
        'greater_is_better',
      ),
    },
    path,
    draft,
  )
  const { settings } = draft
  if (passed.warmup_ratio !== undefined)
    settings.warmup = `${Number((100 * (passed.warmup_ratio as number)).toPrecision(6))}%`
  const schedule = passed.lr_scheduler_type as keyof typeof schedulesOfTrainer | undefined
  if (schedule) settings.schedule = schedulesOfTrainer[schedule]
  // torch's defaults, which transformers leaves in place.
  if (settings.schedule === 'plateau') {
    settings.plateauFactor ??= 0.1
    settings.plateauPatience ??= 10
  }
  if (passed.optim !== undefined) settings.optimizer = passed.optim === 'sgd' ? 'sgd' : 'adamw'
  if (passed.optim === 'sgd') note(draft, 'SGD has momentum 0.9 here, none in transformers')
}

/** The keys of the whole. */
export const topKeys: Entries = {
  task: task(true),
  model: (value, path, draft) => {
    walkClass(value, 'model', path, draft, modelAlone)
  },
  data: (value, path, draft) => {
    if (typeof value !== 'string') walk(value, dataKeys, path, draft)
  },
  engine: (value, path, draft) => {
    walk(value, { device, checkpoint: fixed(null), ...idle('num_devices', 'work_dir') }, path, draft)
  },
  callbacks: (value, path, draft) => walkList(value, 'callback', path, draft),
  callback_monitor: monitor,
  data_root: goes('data', text('a folder of images or a file of labels')),
  work_dir: goes('out', text('a folder')),
  ...trainer,
  backend: choice(['huggingface', 'lightning', 'native']),
  training,
  ...idle('logger', 'workspace', 'config', 'verbose', 'disable_infer_num_classes', 'cache_args', 'subcommand'),
}

/** Whether a value names a task as it is named there. */
export const isTask = (value: unknown): boolean => typeof value === 'string' && Object.hasOwn(tasks, value)
