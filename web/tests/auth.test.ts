import { expect, it } from "vitest";
import { workspacesOf } from "../src/core/auth";

const token = (claims: object) =>
  `h.${btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(claims))))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "")}.s`;

it("lists the token's workspaces, the personal one first", () => {
  expect(workspacesOf(token({ sub: "me", workspaces: ["blue", "grün", "me"] }))).toEqual(["me", "blue", "grün"]);
});

it("takes Cognito's groups where the claim of our own is missing", () => {
  expect(workspacesOf(token({ sub: "me", "cognito:groups": ["blue"] }))).toEqual(["me", "blue"]);
});

it.each(["opaque", "a.b.c", ""])("knows none from a token that is not ours to read: %j", (opaque) => {
  expect(workspacesOf(opaque)).toEqual([]);
});
