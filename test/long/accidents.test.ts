// What accidents do to a run: damaged and foreign checkpoints, lines that no checkpoint knows, a second writer, a full disk.
import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError, type TrainEvent, type TrainOptions, train } from 'vitune'
import { images, model, program, refusal as refusalOf, start, temporary, until, vitune } from '../cli-tools.ts'
import { errorOf } from '../errors.ts'

const { folder, clean } = temporary()
test.after(clean)
const data = await images(join(folder, 'data'), 5)
let places = 0
/** A run folder that is not there yet. */
const fresh = () => join(folder, `run-${places++}`)

const basics = { data, model, epochs: 2, batchSize: 4, threads: 1, device: 'wasm' } as const
/** Trains to the end, or until `stop` says so of an event. */
async function run(given: Partial<TrainOptions>, stop?: (event: TrainEvent) => boolean): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  for await (const event of train((given.resume ? given : { ...basics, ...given }) as TrainOptions)) {
    events.push(event)
    if (stop?.(event)) break
  }
  return events
}
/** A run that was left after its third step. */
async function left(given: Partial<TrainOptions> = {}): Promise<string> {
  const out = fresh()
  await run({ ...given, out }, (event) => event.kind === 'step' && event.step === 3)
  return out
}
/** The sentence that the resuming of a run is refused with; nothing in its folder may change. */
async function refusal(out: string): Promise<string> {
  const before = contents(out)
  const error = await errorOf(run({ out, resume: true }))
  assert.instance(error, InputError, error.stack)
  assert.ok(error.message.length <= 300, error.message)
  assert.equal(contents(out), before)
  return error.message
}
const contents = (out: string) =>
  Object.fromEntries(readdirSync(out).map((name) => [name, readFileSync(join(out, name), 'latin1')]))
/** The files of a run but for run.json, which has times in it. */
const results = (out: string) => {
  const { 'run.json': _, ...rest } = contents(out)
  return rest
}

const whole = fresh()
await run({ out: whole })

test('a checkpoint in which a byte has changed is refused, wherever the byte is', async () => {
  const out = await left()
  const path = join(out, 'checkpoint.safetensors')
  const good = readFileSync(path)
  const header = 8 + Number(good.readBigUInt64LE(0))
  const step = good.indexOf('\\"step\\":3') + 9
  const places = {
    weight: header + 2,
    'last moment': good.length - 1,
    counter: step,
    length: 0,
    'a name': good.indexOf('weight.'),
  }
  for (const [what, place] of Object.entries(places)) {
    const bad = Buffer.from(good)
    bad[place]! ^= 1
    writeFileSync(path, bad)
    assert.match(await refusal(out), /checkpoint\.safetensors: damaged, .*remove it to begin the run again$/, what)
  }
  writeFileSync(path, good.subarray(0, good.length - 4))
  assert.match(await refusal(out), /checkpoint\.safetensors: damaged, /)
  // As the sentence says.
  writeFileSync(path, good)
  await run({ out, resume: true })
  assert.equal(results(out), results(whole))
})

test('a checkpoint of another run is refused, one of the same settings and images is as good as its own', async () => {
  const out = await left()
  const own = readFileSync(join(out, 'checkpoint.safetensors'))
  for (const given of [{ seed: 1 }, { lr: 0.5 }, { data: await images(join(folder, 'more'), 6) }]) {
    copyFileSync(join(await left(given), 'checkpoint.safetensors'), join(out, 'checkpoint.safetensors'))
    assert.match(await refusal(out), /belongs to another run/, JSON.stringify(given))
  }
  assert.ok(readFileSync(join(await left(), 'checkpoint.safetensors')).equals(own))
})

test('lines that the checkpoint does not know are cut off, also where it is of the same step', async () => {
  const out = fresh()
  const stop = new AbortController()
  await run({ out, epochs: 1, signal: stop.signal }, (event) => {
    if (event.kind === 'step' && event.step === 3) stop.abort()
    return false
  })
  const checkpoint = readFileSync(join(out, 'checkpoint.safetensors'))
  await run({ out, resume: true })
  const complete = results(out)
  // What is left where the epoch's line is written and its checkpoint is not, and a line half written.
  writeFileSync(join(out, 'checkpoint.safetensors'), checkpoint)
  appendFileSync(join(out, 'metrics.jsonl'), '{"step":3,"epo')
  await run({ out, resume: true })
  assert.equal(results(out), complete)
})

test('metrics.jsonl that lost lines is continued, which a note says', async () => {
  const out = await left()
  const before = readFileSync(join(out, 'metrics.jsonl'), 'utf8').split('\n')
  truncateSync(join(out, 'metrics.jsonl'), before[0]!.length + 5)
  const [start] = await run({ out, resume: true })
  assert.ok(start?.kind === 'start' && start.notes.some((note) => /metrics\.jsonl is not as it was/.test(note)))
  const after = readFileSync(join(out, 'metrics.jsonl'), 'utf8').split('\n')
  const all = readFileSync(join(whole, 'metrics.jsonl'), 'utf8').split('\n')
  assert.equal(after, [all[0], ...all.slice(3)])
})

test('a pipe in the place of metrics.jsonl is named, and not waited for', async () => {
  const out = await left()
  rmSync(join(out, 'metrics.jsonl'))
  spawnSync('mkfifo', [join(out, 'metrics.jsonl')])
  const error = await errorOf(run({ out, resume: true }))
  assert.instance(error, InputError, error.stack)
  assert.match(
    error.message,
    /metrics\.jsonl: cannot be written, a pipe or a socket has this name \(ENXIO\); remove it/,
  )
})

test('the seconds of a resumed run are those of all its parts', async () => {
  const out = await left()
  const seconds = () => JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')).seconds as number
  const before = seconds()
  assert.ok(before > 0)
  const began = performance.now()
  const events = await run({ out, resume: true })
  const most = before + (performance.now() - began) / 1000
  const done = events.at(-1)
  assert.ok(done?.kind === 'done' && done.seconds > before && done.seconds < most)
  assert.is(seconds(), done.seconds)
})

test('a run that an earlier version left, with neither id nor checksum, is continued', async () => {
  const out = fresh()
  cpSync(await left(), out, { recursive: true })
  const { id: _, ...run1 } = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
  writeFileSync(join(out, 'run.json'), JSON.stringify(run1))
  const path = join(out, 'checkpoint.safetensors')
  const { bytes, header } = withoutNotes(readFileSync(path))
  assert.equal(Object.keys(header), ['format', 'state'])
  writeFileSync(path, bytes)
  await run({ out, resume: true })
  const { 'checkpoint.safetensors': _c, ...mine } = results(out)
  const { 'checkpoint.safetensors': _w, ...theirs } = results(whole)
  assert.equal(mine, theirs)
})

/** A checkpoint as it was written before it carried anything but the state. */
function withoutNotes(bytes: Buffer): { bytes: Buffer; header: object } {
  const end = 8 + Number(bytes.readBigUInt64LE(0))
  const all = JSON.parse(bytes.toString('utf8', 8, end))
  const { format, state } = all.__metadata__
  all.__metadata__ = { format, state }
  const text = Buffer.from(JSON.stringify(all))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return { bytes: Buffer.concat([length, text, bytes.subarray(end)]), header: all.__metadata__ }
}

/** Starts the program under a shell's limit or with files in place of its streams; waits for its end. */
function shell(command: string, args: readonly string[]): { code: number | null; out: string; err: string } {
  const quoted = [process.execPath, program, ...args].map((arg) => `'${arg}'`).join(' ')
  const result = spawnSync('bash', ['-c', command.replace('VITUNE', quoted)], { encoding: 'utf8' })
  return { code: result.status, out: result.stdout, err: result.stderr }
}
const flags = ['--data', data, '--model', model, '--batch-size', '4', '--threads', '1', '--device', 'wasm']
const small = [...flags, '--rank', '1', '--targets', 'query']

test('a disk without room for the checkpoint, or for one more line, is one sentence; resumed, the bytes are those of a whole run', async () => {
  const cases: [string, number, string[]][] = [
    ['checkpoint.safetensors', 90, [...flags, '--peft', 'full', '--epochs', '2']],
    ['metrics.jsonl', 9, [...small, '--epochs', '60']],
  ]
  for (const [name, kilobytes, args] of cases) {
    const [alone, out] = [fresh(), fresh()]
    assert.is((await vitune('train', ...args, '--out', alone)).code, 0)
    const { code, err } = shell(`ulimit -f ${kilobytes}; VITUNE`, ['train', ...args, '--out', out])
    assert.is(code, 2, err)
    const sentence = err.trimEnd().split('\n').at(-1)!
    assert.match(
      sentence,
      new RegExp(`^vitune: \\S+${name}: cannot be written, .*EFBIG.*, then continue with train --resume$`),
    )
    assert.ok(sentence.length <= 300)
    assert.match(readFileSync(join(out, 'metrics.jsonl'), 'utf8'), /\}\n$/)
    assert.equal(
      readdirSync(out).filter((file) => /tmp|lock/.test(file)),
      [],
    )
    assert.is((await vitune('train', '--resume', '--out', out)).code, 0)
    assert.equal(results(out), results(alone))
  }
})

if (existsSync('/dev/full')) {
  test('standard output on a full disk is one sentence; a training saves what it has, and notes may be lost', async () => {
    const { code, err } = shell('VITUNE > /dev/full', ['devices'])
    assert.equal(
      [code, err],
      [2, 'vitune: standard output: cannot be written, the disk is full (ENOSPC); free some space\n'],
    )
    const out = fresh()
    const trained = shell('VITUNE > /dev/full', ['train', ...flags, '--epochs', '2', '--json', '--out', out])
    assert.is(trained.code, 2, trained.err)
    assert.match(trained.err, /^vitune: standard output: cannot be written, the disk is full/m)
    assert.match(trained.err, /all saved; continue with: vitune train --resume/)
    assert.not.match(trained.err, /^ +at /m)
    await run({ out, resume: true })
    // The run is whole when its summary meets the full disk: that is said by the code too.
    const whole = fresh()
    assert.is(shell('VITUNE > /dev/full', ['train', ...flags, '--epochs', '2', '--out', whole]).code, 2)
    const alone = fresh()
    assert.is(shell('VITUNE 2> /dev/full', ['train', ...flags, '--epochs', '2', '--out', alone]).code, 0)
    assert.equal(results(out), results(alone))
    assert.equal(results(whole), results(alone))
  })
}

test('a hang-up saves as Ctrl-C does and ends with 129; under nohup it is none', async () => {
  const args = ['train', ...flags, '--epochs', '4000', '--json', '--out']
  const hungUp = start([...args, fresh()])
  await until(hungUp.child, 'stdout', /"step":2,/)
  hungUp.child.kill('SIGHUP')
  const { code, err } = await hungUp.ended
  assert.is(code, 129, err)
  assert.match(err, /all saved; continue with/)

  // As bash tells a program that nohup starts.
  const { child, ended } = start([...args, fresh()], { env: { _: '/usr/bin/nohup' } })
  await until(child, 'stdout', /"step":2,/)
  child.kill('SIGHUP')
  await until(child, 'stdout', /"step":\d*9,/)
  child.kill('SIGTERM')
  assert.is((await ended).code, 143)
})

test('a reader that goes away at Ctrl-C is no second Ctrl-C: the run is saved', async () => {
  const out = fresh()
  const { child, ended } = start(['train', ...flags, '--epochs', '4000', '--json', '--out', out])
  await until(child, 'stdout', /"step":2,/)
  child.kill('SIGINT')
  child.stdout!.destroy()
  const { code, err } = await ended
  assert.is(code, 130)
  assert.match(err, /all saved; continue with/)
})

test('merge makes its folder whole or not at all: without room, or killed, nothing is there, and the next one succeeds', async () => {
  const [merged, linked] = [fresh(), fresh()]
  const args = ['merge', '--run', whole, '--device', 'wasm', '--threads', '1', '--out']
  const { code, err } = shell('ulimit -f 50; VITUNE', [...args, merged])
  assert.is(code, 2, err)
  assert.ok(err.includes(`vitune: ${merged}/model.safetensors: cannot be written, `), err)
  assert.equal(besides(merged), [])

  // As a merge leaves it that is killed while it writes.
  const dead = spawnSync(process.execPath, ['-e', '']).pid
  mkdirSync(hidden(merged, 'tmp'))
  writeFileSync(join(hidden(merged, 'tmp'), 'config.json'), '{')
  const { platform } = await import(pathToFileURL(join(program, '../platform-node.js')).href)
  const lock = await platform.takeLock(hidden(merged, 'lock'))
  const owner = JSON.parse(readFileSync(hidden(merged, 'lock'), 'utf8'))
  assert.match(await refusalOf(...args, merged), new RegExp(`^--out: \\S+ is being made by process ${process.pid} on`))
  await lock.release()
  writeFileSync(hidden(merged, 'lock'), JSON.stringify({ ...owner, pid: dead }))
  assert.is((await vitune(...args, merged)).code, 0)
  assert.equal(readdirSync(merged), ['config.json', 'model.safetensors', 'preprocessor_config.json'])
  assert.equal(besides(merged), [basename(merged)])
  assert.match(await refusalOf(...args, merged), /^--out: must be a new or empty folder/)

  // An empty folder may be there, also by a link.
  mkdirSync(`${linked}-place`)
  symlinkSync(`${linked}-place`, linked)
  assert.is((await vitune(...args, linked)).code, 0)
  assert.equal(contents(`${linked}-place`), contents(merged))
})
const hidden = (path: string, ending: string) => join(path, '..', `.${basename(path)}.${ending}`)
const besides = (path: string) => readdirSync(join(path, '..')).filter((name) => name.includes(basename(path)))

test.run()
