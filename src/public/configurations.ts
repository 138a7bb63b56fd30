// `vitune/configurations`: settings of other tools' configurations. Not here: reading YAML, which a parser of your choice does; any
// code.

// settings
export { settingsFromOtx, type TranslateOptions } from '../settings/otx/translate.ts'
