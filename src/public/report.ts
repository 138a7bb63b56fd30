// `vitune/report`: what came of runs and of experiments, as pages, tables and sentences. Not here: training and comparing.

// report
export { renderReport } from '../report/html-report.ts'
export { renderRunReport } from '../report/run-report.ts'
export { type RunResult, readRunResult, type ShownSetting } from '../report/run-result.ts'
export { type MethodSummary, summarise } from '../report/summarise.ts'
export { summaryWords } from '../report/summary-words.ts'
export { renderTable } from '../report/table.ts'
