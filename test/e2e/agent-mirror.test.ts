import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { socketPath } from "../../src/agent/api/routes.ts";
import { createAgentClient } from "../../src/agent/client/client.ts";
import { pull, push } from "../../src/index.ts";
import { type AgentProcess, startAgentProcess } from "../support/agent-process.ts";
import { type Credentials, writeDockerConfig } from "../support/docker-config.ts";
import { hashFiles } from "../support/file-digests.ts";
import { basicHeader, callMirror } from "../support/mirror-caller.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { runPeer } from "../support/peer-programs.ts";
import { toolsMissing } from "../support/programs.ts";
import { writeRandomModel } from "../support/random-model.ts";
import { type Distribution, startDistribution } from "../support/real-registries.ts";

const login = { username: "tester", password: "secret" };
const wrong = { ...login, password: "guessed" };
const isRoot = process.geteuid?.() === 0;

/** Skipped where nobody may change users, as an agent on a node does. */
describe
  .skipIf(!isRoot || toolsMissing("registry", "crane", "regctl"))
  .each([["htpasswd"], ["token"]] as const)(
  "through a mirror of the reference registry with %s",
  (auth) => {
    let folder: TemporaryFolder;
    let registry: Distribution;
    let agent: AgentProcess;
    let expected: Record<string, string>;
    let digest: string;

    beforeEach(async () => {
      folder = await makeTemporaryFolder();
      const accessLog = join(folder.path, "access.log");
      registry = await startDistribution({ version: "v3", auth, accessLog });
      const model = join(folder.path, "model");
      await writeRandomModel(model, ["a", "b", "c", "d"]);
      expected = await hashFiles(model);
      const reference = `${registry.address}/team/model:v1`;
      digest = (await push({ source: model, reference, credentials: login })).digest;
      await push({
        source: model,
        reference: `${registry.address}/team/elsewhere:v1`,
        credentials: login,
      });
      const config = join(folder.path, "agent.yaml");
      await writeFile(
        config,
        `registries: {allow: ["${registry.address}"]}\nnetwork: {allow: ["127.0.0.0/8", "::1"]}\n`,
      );
      await chmod(config, 0o644);
      const listen = ["--peer-listen", "127.0.0.1:0"];
      agent = await startAgentProcess(folder.path, ["--config", config, ...listen]);
      await createAgentClient(socketPath(agent.run, "mount")).acquire({
        id: "0".repeat(64),
        reference,
        target: "/pods/1",
        subject: { namespace: "team-a", pod: "server-0", uid: "1" },
        credential: login,
      });
    });
    afterEach(async () => {
      await agent[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    });

    const mirror = () => /"mirror":"([^"]+)"/.exec(agent.log())?.[1] ?? "";
    const mirrored = (name: string) => `${mirror()}/${registry.address.replace(":", "_")}/${name}`;

    /** A folder of settings that log in to the mirror. */
    async function settings(who: Credentials): Promise<string> {
      const path = join(folder.path, `settings-${who.password}`);
      await mkdir(path, { recursive: true });
      await writeDockerConfig(path, { [mirror()]: who });
      return path;
    }

    /** Requests for blobs that reached the registry so far. */
    async function blobRequests(): Promise<number> {
      const log = await readFile(join(folder.path, "access.log"), "utf8");
      return log.split("\n").filter((line) => line.includes('"GET ') && line.includes("/blobs/"))
        .length;
    }

    test("crane finds a model sound and pulls all of it, and no byte comes from the registry", async () => {
      const options = { folder: await settings(login) };
      const before = await blobRequests();
      expect(await runPeer("crane", ["digest", mirrored("team/model:v1")], options)).toBe(digest);
      const validated = await runPeer(
        "crane",
        ["validate", "--remote", mirrored("team/model:v1")],
        options,
      );
      expect(validated).toMatch(/^PASS/);
      const layout = join(folder.path, "layout");
      await runPeer("crane", ["pull", "--format=oci", mirrored("team/model:v1"), layout], options);
      expect(await blobRequests()).toBe(before);
      const output = join(folder.path, "from-crane");
      await pull({ reference: `oci:${layout}@${digest}`, output });
      expect(await hashFiles(output)).toEqual(expected);
    });

    test("regctl fetches each layer, and Ballast pulls ranges", async () => {
      const before = await blobRequests();
      const options = { folder: await settings(login), hosts: [mirror()] };
      const fetched = join(folder.path, "fetched");
      await mkdir(fetched);
      const get = ["artifact", "get", mirrored("team/model:v1"), "--output", fetched];
      await runPeer("regctl", get, options);
      const manifest = await runPeer("crane", ["manifest", mirrored("team/model:v1")], options);
      const { layers } = JSON.parse(manifest) as { layers: { digest: string }[] };
      const hashes = Object.values(await hashFiles(fetched)).map((hash) => `sha256:${hash}`);
      expect(hashes.sort()).toEqual(layers.map((layer) => layer.digest).sort());
      const output = join(folder.path, "from-ballast");
      const reference = mirrored("team/model:v1");
      await pull({ reference, output, credentials: login });
      expect(await hashFiles(output)).toEqual(expected);
      expect(await blobRequests()).toBe(before);
    });

    test("nobody pulls with a wrong credential, and hears nothing of what is here", async () => {
      for (const who of [wrong, undefined]) {
        const options = { folder: who === undefined ? folder.path : await settings(who) };
        const failures = [];
        for (const name of ["team/model:v1", "team/elsewhere:v1", "team/nothing:v1"]) {
          const error = await runPeer("crane", ["manifest", mirrored(name)], options).catch(
            (reason: unknown) => reason,
          );
          const { stderr } = error as { stderr: string };
          const told = stderr
            .replaceAll(/team(?:\/|%2F)[a-z]+/g, "NAME")
            .replace(/^\S+ \S+ /gm, "");
          failures.push(told);
        }
        expect(failures[0]).toMatch(/UNAUTHORIZED|401/);
        expect(failures[1]).toBe(failures[0]);
        expect(failures[2]).toBe(failures[0]);
      }
    });

    test.each(auth === "token" ? ["another repository"] : [])(
      "a token for %s opens nothing",
      async () => {
        const scope = "repository:team/elsewhere:pull";
        const realm = new URL(registry.tokens?.realm ?? "");
        realm.search = new URLSearchParams({ scope }).toString();
        const granted = await fetch(realm, { headers: { authorization: basicHeader(login) } });
        const { token } = (await granted.json()) as { token: string };
        const headers = { authorization: `Bearer ${token}` };
        const name = `/v2/${registry.address.replace(":", "_")}/team`;
        const elsewhere = await callMirror(mirror(), `${name}/elsewhere/manifests/v1`, { headers });
        expect(elsewhere.status).toBe(404);
        const [here, nowhere] = [digest, `sha256:${"0".repeat(64)}`].map(async (wanted) => {
          const answer = await callMirror(mirror(), `${name}/model/manifests/${wanted}`, {
            headers,
          });
          return { ...answer, headers: { ...answer.headers, date: "", "x-request-id": "" } };
        });
        expect(await here).toMatchObject({
          status: 401,
          headers: {
            "www-authenticate": expect.stringContaining('scope="repository:team/model:pull"'),
          },
        });
        expect(await nowhere).toEqual(await here);
      },
    );

    test.each(auth === "htpasswd" ? ["a layer"] : [])(
      "ranges of %s are the registry's bytes",
      async () => {
        const headers = { authorization: basicHeader(login) };
        const path = (name: string) => `/v2/${name}`;
        const { body } = await callMirror(
          registry.address,
          path(`team/model/manifests/${digest}`),
          {
            headers: { ...headers, accept: "application/vnd.oci.image.manifest.v1+json" },
          },
        );
        const { layers } = JSON.parse(body.toString()) as {
          layers: { digest: string; size: number }[];
        };
        const name = `${registry.address.replace(":", "_")}/team/model`;
        for (const { digest: blob, size } of layers) {
          const range = {
            ...headers,
            range: `bytes=${Math.floor(size / 3)}-${Math.floor(size / 2)}`,
          };
          const [ours, theirs] = await Promise.all([
            callMirror(mirror(), path(`${name}/blobs/${blob}`), { headers: range }),
            callMirror(registry.address, path(`team/model/blobs/${blob}`), { headers: range }),
          ]);
          expect(ours.status).toBe(206);
          expect(ours.headers["content-range"]).toBe(theirs.headers["content-range"]);
          expect(ours.body.equals(theirs.body)).toBe(true);
        }
      },
    );
  },
);
