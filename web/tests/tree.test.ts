import { expect, it } from "vitest";
import { merged, pathTo, pinned, placeOf, versionsOf, visibleBranch } from "../src/core/tree";
import { conversation, message } from "./made";

const tree = [
  message("q1", null),
  message("a1", "q1"),
  message("q2", "a1"),
  message("a2", "q2"),
  message("q1b", null),
  message("a1b", "q1b"),
  message("a1c", "q1b"),
];
const ids = (messages: { id: string }[]) => messages.map((one) => one.id);
const shown = (chosen: Record<string, string> = {}) => visibleBranch({ messages: tree, meta: { chosen } });

it("shows the latest branch when none was chosen", () => {
  expect(ids(shown())).toEqual(["q1b", "a1c"]);
});

it("shows the chosen versions, and the latest below them", () => {
  expect(ids(shown({ "": "q1" }))).toEqual(["q1", "a1", "q2", "a2"]);
  expect(ids(shown({ q1b: "a1b" }))).toEqual(["q1b", "a1b"]);
});

it("passes over a choice that is not there any more", () => {
  expect(ids(shown({ "": "gone" }))).toEqual(["q1b", "a1c"]);
});

it("lists siblings oldest first, at the root too", () => {
  expect(versionsOf(tree, "a1c")).toEqual(["a1b", "a1c"]);
  expect(versionsOf(tree, "q1")).toEqual(["q1", "q1b"]);
});

it("finds the path to a message", () => {
  expect(ids(pathTo(tree, "q2"))).toEqual(["q1", "a1", "q2"]);
  expect(pathTo(tree, null)).toEqual([]);
});

it("counts versions that are not here, as the server names them, before those it does not know yet", () => {
  const siblings = ["old", "a1", "newer"];
  const family = [message("a1", "q", { siblings }), message("a9", "q")];
  expect(versionsOf(family, "a1")).toEqual(["old", "a1", "newer", "a9"]);
  expect(versionsOf(family, "a9")).toEqual(["old", "a1", "newer", "a9"]);
});

it("shows a branch from where it is here, when its root is not", () => {
  const part = [message("a5", "q5"), message("q6", "a5"), message("elsewhere", "q2")];
  expect(ids(visibleBranch({ messages: part, older: { above: "q5" }, meta: {} }))).toEqual(["a5", "q6"]);
});

it("names the place of a message by the order keys above it, or from the root", () => {
  const part = [message("a5", "q5", { orderKey: "000041" }), message("q6", "a5"), message("a6", "q6")];
  expect(placeOf(part, "a6")).toBe("000043:a6");
  expect(placeOf(tree, "a2")).toBe("000003:a2");
  expect(placeOf([message("lost", "unknown")], "lost")).toBeNull();
  expect(placeOf(tree, null)).toBeNull();
});

it("takes in what the server has, and leaves alone what is only here or is under way here", () => {
  const here = [
    message("a", null, { status: "interrupted", content: "so f" }),
    message("b", "a", { unsaved: true, content: "mine" }),
    message("c", "a", { status: "streaming", content: "longer here" }),
  ];
  const theirs = [
    { ...(here[0] as (typeof here)[0]), status: "complete" as const, content: "so far, and on" },
    { ...(here[2] as (typeof here)[0]), content: "lon" },
    message("b", "a", { content: "theirs" }),
    message("d", "a"),
  ];
  const now = merged(here, theirs);
  expect(now.map((one) => one.content)).toEqual(["so far, and on", "mine", "longer here", "d"]);
  expect(merged(now, theirs)).toBe(now);
});

it("keeps the branch on screen when a version made elsewhere comes in, and follows what continues it", () => {
  const chat = conversation("c", tree);
  const added = [message("a1d", "q1b"), message("q3", "a1c")];
  const next = { ...chat, messages: [...tree, ...added], meta: pinned(chat, added) };
  expect(ids(visibleBranch(next))).toEqual(["q1b", "a1c", "q3"]);
});
