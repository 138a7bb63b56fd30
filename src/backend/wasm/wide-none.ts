// Takes the place of wide.ts in what a page loads.
export const wideModule = async (): Promise<undefined> => undefined
