// Which conventions the system has.

/** Apple's: Command is the key of shortcuts. */
export const onApple = (): boolean => /Mac|iP/.test(globalThis.navigator?.platform ?? "");
