import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { emptyConfig, serializeManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { RegistryOptions } from "../../src/registry/server/server.ts";
import { basic, writeHtpasswd } from "../support/htpasswd.ts";
import { errorCode, openRawRegistry, type RawRegistry } from "./raw-registry.ts";

const passwords = { ann: "ann's", bob: "bob's", carl: "carl's" };
const challenge = 'Basic realm="ballast"';
const content = Buffer.from("content");
const digest = digestOf(content);
const rules = `
groups: { writers: [ann, bob] }
rules:
  - repositories: ["team/**"]
    read: [anonymous]
    write: ["@writers"]
    delete: [ann]
  - repositories: ["lab/**"]
    read: [users]
    write: [ann]
`;

let folder: string;
let htpasswdFile: string;
let accessFile: string;
let registry: RawRegistry;
const warnings: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "accounts-"));
  htpasswdFile = join(folder, "htpasswd");
  accessFile = join(folder, "access.yaml");
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(async () => {
  warnings.length = 0;
  await writeHtpasswd(htpasswdFile, passwords);
  await writeFile(accessFile, rules);
});
afterEach(() => registry[Symbol.asyncDispose]());

async function open(options: Omit<RegistryOptions, "root">): Promise<void> {
  registry = await openRawRegistry({
    onWarning: (message) => void warnings.push(message),
    ...options,
  });
}

type User = keyof typeof passwords | undefined;

async function ask(user: User, method: string, path: string, body?: Buffer | string) {
  const headers: Record<string, string> = { "content-type": mediaTypes.imageManifest };
  if (user !== undefined) headers["authorization"] = basic(user, passwords[user]);
  const response = await registry.send(method, path, { headers, body });
  const wants = response.headers["www-authenticate"];
  return wants === undefined ? `${response.status}` : `${response.status} ${wants}`;
}

/** Pushes a blob and a manifest, tagged `v1`. */
async function fill(repository: string): Promise<void> {
  const send = (method: string, path: string, body: Buffer | string) =>
    ask("ann", method, `/v2/${repository}/${path}`, body);
  await send("POST", `blobs/uploads/?digest=${digest}`, content);
  await send("POST", `blobs/uploads/?digest=${emptyConfig.digest}`, "{}");
  const manifest = serializeManifest({ config: emptyConfig, layers: [] });
  expect(await send("PUT", "manifests/v1", manifest)).toBe("201");
}

describe("accounts of an htpasswd file and rules", () => {
  const challenged = `401 ${challenge}`;
  const table: [string, string, Record<"nobody" | "ann" | "bob" | "carl", string>][] = [
    ["GET", "/v2/", { nobody: "200", ann: "200", bob: "200", carl: "200" }],
    ["GET", "/v2/team/m/manifests/v1", { nobody: "200", ann: "200", bob: "200", carl: "200" }],
    ["HEAD", `/v2/team/m/blobs/${digest}`, { nobody: "200", ann: "200", bob: "200", carl: "200" }],
    ["GET", "/v2/team/m/tags/list", { nobody: "200", ann: "200", bob: "200", carl: "200" }],
    [
      "POST",
      "/v2/team/m/blobs/uploads/",
      { nobody: challenged, ann: "202", bob: "202", carl: "403" },
    ],
    [
      "GET",
      "/v2/team/m/blobs/uploads/01234567-0123-0123-0123-0123456789ab",
      { nobody: challenged, ann: "404", bob: "404", carl: "403" },
    ],
    [
      "DELETE",
      "/v2/team/m/blobs/uploads/01234567-0123-0123-0123-0123456789ab",
      { nobody: challenged, ann: "404", bob: "404", carl: "403" },
    ],
    [
      "DELETE",
      "/v2/team/m/manifests/none",
      { nobody: challenged, ann: "404", bob: "403", carl: "403" },
    ],
    // A repository whose name ends as the path of uploads does.
    [
      "DELETE",
      "/v2/team/blobs/uploads/x/manifests/none",
      { nobody: challenged, ann: "404", bob: "403", carl: "403" },
    ],
    // Encoded, it is the same path.
    [
      "POST",
      "/v2/team%2Fm/blobs%2Fuploads%2F",
      { nobody: challenged, ann: "202", bob: "202", carl: "403" },
    ],
    ["GET", "/v2/lab/m/manifests/v1", { nobody: challenged, ann: "200", bob: "200", carl: "200" }],
    [
      "GET",
      "/v2/lab/none/manifests/v1",
      { nobody: challenged, ann: "404", bob: "404", carl: "404" },
    ],
    [
      "POST",
      "/v2/lab/m/blobs/uploads/",
      { nobody: challenged, ann: "202", bob: "403", carl: "403" },
    ],
    ["GET", "/v2/other/manifests/v1", { nobody: challenged, ann: "403", bob: "403", carl: "403" }],
  ];

  test.each(table)("%s %s", async (method, path, expected) => {
    await open({ htpasswdFile, accessFile });
    for (const repository of ["team/m", "lab/m"]) await fill(repository);
    const answers = {
      nobody: await ask(undefined, method, path),
      ann: await ask("ann", method, path),
      bob: await ask("bob", method, path),
      carl: await ask("carl", method, path),
    };
    expect(answers).toEqual(expected);
  });

  test("a wrong login is refused even where none is needed", async () => {
    await open({ htpasswdFile, accessFile });
    for (const authorization of [basic("ann", "wrong"), basic("nobody", "x"), "Bearer abc"])
      for (const path of ["/v2/", "/v2/team/m/tags/list"]) {
        const response = await registry.send("GET", path, { headers: { authorization } });
        expect([response.status, errorCode(response)]).toEqual([401, "UNAUTHORIZED"]);
      }
  });

  test("a blob is mounted only from where the account may read", async () => {
    await writeFile(accessFile, `${rules}  - repositories: [mine/**]\n    write: [carl, ann]\n`);
    await open({ htpasswdFile, accessFile });
    await fill("mine/from");
    const mount = (user: User) =>
      ask(user, "POST", `/v2/team/to/blobs/uploads/?mount=${digest}&from=mine/from`);
    expect(await mount("bob")).toBe("202");
    expect(await mount("ann")).toBe("201");
  });

  test("without rules every account may do everything, and nobody else anything", async () => {
    await open({ htpasswdFile });
    await fill("any/thing");
    expect(await ask(undefined, "GET", "/v2/")).toBe(challenged);
    expect(await ask(undefined, "GET", "/v2/any/thing/manifests/v1")).toBe(challenged);
    expect(await ask("carl", "DELETE", "/v2/any/thing/manifests/v1")).toBe("202");
  });

  test("with anonymous reading everybody pulls and accounts push", async () => {
    await open({ htpasswdFile, anonymousRead: true });
    await fill("any/thing");
    expect(await ask(undefined, "GET", "/v2/")).toBe("200");
    expect(await ask(undefined, "GET", "/v2/any/thing/manifests/v1")).toBe("200");
    expect(await ask(undefined, "POST", "/v2/any/thing/blobs/uploads/")).toBe(challenged);
    expect(await ask("bob", "POST", "/v2/any/thing/blobs/uploads/")).toBe("202");
  });

  test("rules without accounts say what everybody may do, and nobody can log in", async () => {
    await open({ accessFile });
    expect(await ask(undefined, "GET", "/v2/team/m/tags/list")).toBe("404");
    expect(await ask(undefined, "POST", "/v2/team/m/blobs/uploads/")).toBe("403");
  });
});

describe("the files of accounts and rules", () => {
  test("are read again when they changed: a new password counts and the old one no more", async () => {
    await open({ htpasswdFile });
    expect(await ask("ann", "GET", "/v2/")).toBe("200");
    await writeHtpasswd(htpasswdFile, { ann: "a new one" });
    expect(await ask("ann", "GET", "/v2/")).toBe(`401 ${challenge}`);
    expect(await ask("bob", "GET", "/v2/")).toBe(`401 ${challenge}`);
    await writeHtpasswd(htpasswdFile, passwords);
    expect(await ask("bob", "GET", "/v2/")).toBe("200");
  });

  test("stay what they were when they are broken, and that is told once", async () => {
    await open({ htpasswdFile, accessFile });
    await writeFile(htpasswdFile, "ann:secret\n");
    await writeFile(accessFile, "rules: 1\n");
    expect(await ask("ann", "GET", "/v2/team/m/tags/list")).toBe("404");
    expect(await ask("ann", "GET", "/v2/team/m/tags/list")).toBe("404");
    expect(warnings).toHaveLength(2);
    expect(warnings.join()).not.toContain("secret");
    await rm(accessFile);
    await rm(htpasswdFile);
    expect(await ask("carl", "POST", "/v2/team/m/blobs/uploads/")).toBe("403");
  });

  test("that are broken at the start are refused", async () => {
    await open({});
    await writeFile(htpasswdFile, "ann:{SHA}abc\n");
    const start = openRawRegistry({ htpasswdFile });
    await expect(start).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(openRawRegistry({ accessFile: join(folder, "none") })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });
});

test("wrong passwords are bounded for each address; who is known is let in all the same", async () => {
  await open({ htpasswdFile });
  expect(await ask("ann", "GET", "/v2/")).toBe("200");
  const statuses = new Set<number>();
  for (let turn = 0; turn < 25; turn += 1) {
    const headers = { authorization: basic("bob", `guess ${turn}`) };
    statuses.add((await registry.send("GET", "/v2/", { headers })).status);
  }
  expect([...statuses]).toEqual([401, 429]);
  expect(await ask("ann", "GET", "/v2/")).toBe("200");
});

test("a hundred requests with one login at once cost one check", async () => {
  await open({ htpasswdFile });
  const all = Array.from({ length: 100 }, () => ask("ann", "GET", "/v2/"));
  expect(new Set(await Promise.all(all))).toEqual(new Set(["200"]));
});
