// The recipes that there are, by name. What one is, is in recipe.ts; docs/recipes.md tells of all. Pure.

import type { Recipe } from './recipe.ts'
import { accurate, evident, fast } from './recipe-evident.ts'
import { getitune, otx } from './recipe-otx.ts'
import type { RecipeName } from './settings.ts'

/** What a recipe says of a run; a setting that it leaves out has its general default. */
export const recipes: Readonly<Record<RecipeName, Recipe>> = { default: evident, otx, getitune, fast, accurate }
