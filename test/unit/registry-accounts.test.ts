import { describe, expect, test } from "vitest";
import { parseAccessFile } from "../../src/registry/server/accounts/access-file.ts";
import type { Right } from "../../src/registry/server/accounts/access-rules.ts";
import { parseBasicLogin } from "../../src/registry/server/accounts/basic-login.ts";
import { parseHtpasswd } from "../../src/registry/server/accounts/htpasswd.ts";

const hash = `$2y$05$${"a".repeat(53)}`;

describe("an htpasswd file", () => {
  test("has users with bcrypt hashes of any version, comments and empty lines", () => {
    const text = `# ours\nme:${hash}\n\nyou:${hash.replace("2y", "2b")}\r\n`;
    expect([...parseHtpasswd(text, "f").keys()]).toEqual(["me", "you"]);
  });

  test.each([
    ["MD5", "me:$apr1$abc$def"],
    ["SHA-1", "me:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="],
    ["plain text", "me:secret"],
    ["a shortened hash", `me:${hash.slice(0, -1)}`],
    ["more than a hash", `me:${hash}:more`],
    ["a cost of seconds", `me:${hash.replace("$05$", "$16$")}`],
    ["no user", `:${hash}`],
    ["no colon", "me"],
    ["a user twice", `me:${hash}`],
  ])("with %s is refused, naming the line but not the hash", (_, line) => {
    const parse = () =>
      parseHtpasswd(`me:${hash}\n${line}`.replace(/^.*\n(?!me:\$2y\$05\$a{53}$)/, "\n"), "users");
    expect(parse).toThrowError(/users, line [12]: /);
    expect(parse).not.toThrowError(/secret|apr1|W6ph/);
  });
});

describe("an access file", () => {
  const rules = parseAccessFile(
    `
groups: { writers: [ann, bob] }
rules:
  - repositories: [team/secret]
    read: [ann]
  - repositories: ["team/**"]
    read: [anonymous]
    write: ["@writers"]
    delete: [ann]
  - repositories: ["lab/*"]
    read: [users]
    delete: [carl]
`,
    "access.yaml",
  );
  const rights: readonly Right[] = ["read", "write", "delete"];
  const allowed = (user: string | undefined, repository: string) =>
    rights.filter((right) => rules.allows({ user }, right, repository)).join(" ");

  test.each([
    ["team/model", undefined, "read"],
    ["team/model", "carl", "read"],
    ["team/model", "bob", "read write"],
    ["team/model", "ann", "read write delete"],
    ["team/deep/er/model", "bob", "read write"],
    ["team/secret", "ann", "read"],
    ["team/secret", "bob", ""],
    ["team/secret", undefined, ""],
    ["lab/x", undefined, ""],
    ["lab/x", "bob", "read"],
    ["lab/x", "carl", "read delete"],
    ["lab/x/y", "bob", ""],
    ["teams/model", "ann", ""],
    ["other", "ann", ""],
    ["team/model", "@writers", "read"],
  ])("lets %s be used by %s: %s", (repository, user, expected) => {
    expect(allowed(user, repository)).toBe(expected);
  });

  test("without rules is for nobody", () => {
    const none = parseAccessFile("rules: []", "f");
    expect(none.allows({ user: "ann" }, "read", "team/model")).toBe(false);
    expect([none.openToAll, rules.openToAll]).toEqual([false, true]);
  });

  test.each([
    ["no document", "", /the document/],
    ["a key nobody knows", "rules: []\nrule: []", /rule/],
    ["a right nobody knows", "rules: [{repositories: [a], admin: [b]}]", /rules\.0\.admin/],
    ["no patterns", "rules: [{repositories: []}]", /rules\.0\.repositories/],
    ["a name that is none", "rules: [{repositories: [a], read: [1]}]", /rules\.0\.read\.0/],
    ["a group that is not there", "rules: [{repositories: [a], read: ['@w']}]", /no group w/],
    [
      "a group of objects",
      "groups: {}\nrules: [{repositories: [a], read: ['@toString']}]",
      /no group/,
    ],
    ["no YAML", "rules: [", /f: /],
  ])("with %s is refused, naming it", (_, text, message) => {
    expect(() => parseAccessFile(text, "f")).toThrowError(message);
  });
});

test.each([
  ["Basic bWU6cGE6c3M=", { username: "me", password: "pa:ss" }],
  ["basic bWU6", { username: "me", password: "" }],
  ["Basic bWU=", undefined],
  ["Bearer abc", undefined],
  ["Basic", undefined],
  ["", undefined],
])("the login of %j", (header, login) => {
  expect(parseBasicLogin(header)).toEqual(login);
});
