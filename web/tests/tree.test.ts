import { expect, it } from "vitest";
import { pathTo, siblings, visibleBranch } from "../src/core/tree";
import { message } from "./made";

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

it("shows the latest branch when none was chosen", () => {
  expect(ids(visibleBranch(tree, undefined))).toEqual(["q1b", "a1c"]);
});

it("shows the chosen versions, and the latest below them", () => {
  expect(ids(visibleBranch(tree, { "": "q1" }))).toEqual(["q1", "a1", "q2", "a2"]);
  expect(ids(visibleBranch(tree, { q1b: "a1b" }))).toEqual(["q1b", "a1b"]);
});

it("passes over a choice that is not there any more", () => {
  expect(ids(visibleBranch(tree, { "": "gone" }))).toEqual(["q1b", "a1c"]);
});

it("lists siblings oldest first, at the root too", () => {
  expect(ids(siblings(tree, "a1c"))).toEqual(["a1b", "a1c"]);
  expect(ids(siblings(tree, "q1"))).toEqual(["q1", "q1b"]);
});

it("finds the path to a message", () => {
  expect(ids(pathTo(tree, "q2"))).toEqual(["q1", "a1", "q2"]);
  expect(pathTo(tree, null)).toEqual([]);
});
