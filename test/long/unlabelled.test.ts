// Runs of every task with images without labels, stopped after each of their steps: each ends as if it had not been.
import { test } from 'uvu'
import { checkRun, clean, tasks } from '../unlabelled-runs.ts'

test.after(clean)

for (const [name, given] of Object.entries(tasks)) {
  test(`${name}: a run that was stopped anywhere ends as if it had not been`, () =>
    checkRun(given, (steps) => Array.from({ length: steps - 1 }, (_, i) => i + 1)))
}

test.run()
