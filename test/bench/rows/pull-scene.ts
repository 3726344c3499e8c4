import { join } from "node:path";
import { type Certificates, makeCertificates } from "../../support/certificates.ts";
import type { Bench } from "../bench.ts";
import { ballastClient } from "../clients/ballast.ts";
import { makeBenchModel, type Split } from "../models/bench-models.ts";
import type { ModelFiles } from "../models/model-files.ts";
import { describeArtifact, seedRegistry } from "../models/oci-layout.ts";
import { removeFolder } from "../remove-folder.ts";
import { startBenchRegistry } from "../servers/distribution.ts";
import { type Nginx, startNginx } from "../servers/nginx.ts";
import type { RunningServer } from "../servers/running-server.ts";
import { makeHome, repositories, runUntimed } from "./peers.ts";

/** A model in a registry that is reached in several ways. */
export interface PullScene extends AsyncDisposable {
  readonly model: ModelFiles;
  readonly plain: RunningServer;
  readonly tls: RunningServer;
  readonly nginx: Nginx;
}

export const tag = "v1";

/** Makes the model, and a registry that has it for Ballast and for its peers. */
export async function preparePulls(bench: Bench, split: Split): Promise<PullScene> {
  const inside = (name: string) => join(bench.workspace.fast, name);
  await using cleanups = new AsyncDisposableStack();
  for (const name of ["model", "registry", "setup", "nginx"])
    cleanups.defer(() => removeFolder(inside(name)));
  bench.print(`preparing a model in ${split} and its registry`);
  const model = await makeBenchModel(bench, split, "model");
  const root = inside("registry");
  await seedRegistry(root, { repository: repositories.peer, tag }, describeArtifact(model));
  const setup = await makeHome(inside("setup"));
  const certificates = await makeCertificates(setup);
  const start = (name: string, trusted?: Certificates) =>
    startBenchRegistry({ root, accessLog: join(setup, `${name}.log`), certificates: trusted });
  const plain = cleanups.use(await start("plain"));
  const tls = cleanups.use(await start("tls", certificates));
  const nginx = cleanups.use(await startNginx(plain, inside("nginx")));
  await pushUntimed(bench, { server: plain, model, tag, home: setup });
  const owned = cleanups.move();
  return { model, plain, tls, nginx, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Pushes a model with Ballast to its repository. */
export async function pushUntimed(
  bench: Bench,
  job: {
    readonly server: RunningServer;
    readonly model: ModelFiles;
    readonly tag: string;
    readonly home: string;
  },
): Promise<void> {
  const { server, model, home } = job;
  const name = `${repositories.ours}:${job.tag}`;
  const push = { server, name, source: model.folder, layout: "", tag: job.tag, home };
  await runUntimed(bench, await ballastClient(bench.ballast).push(push));
}
