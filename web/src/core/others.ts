// What the tabs of one person tell each other of their chats: what was written, renamed, deleted. Each looks only at changes of the
// workspace that it shows.

import * as v from "valibot";
import { summary } from "./kinds";
import type { Tabs } from "./tabs";

const KIND = "chats";

const change = v.object({
  workspace: v.nullable(v.string()),
  /** Somebody wrote in it. */
  touched: v.exactOptional(summary),
  renamed: v.exactOptional(v.object({ id: v.string(), title: v.string() })),
  /** Off the list, as long as its deletion can be undone. */
  hidden: v.exactOptional(v.string()),
  removed: v.exactOptional(v.string()),
  /** It is not deleted after all. */
  back: v.exactOptional(summary),
  /** An answer of this chat is stored. */
  answered: v.exactOptional(v.string()),
});

export type Change = v.InferOutput<typeof change>;
export type Others = ReturnType<typeof createOthers>;

export function createOthers(tabs: Tabs) {
  const listeners: ((change: Change) => void)[] = [];
  tabs.listen(KIND, (value) => {
    const read = v.safeParse(change, value); // another tab may run another version of the page
    if (read.success) for (const heard of listeners) heard(read.output);
  });
  return {
    tell: (said: Change) => tabs.tell(KIND, said),
    listen: (heard: (change: Change) => void) => void listeners.push(heard),
  };
}
