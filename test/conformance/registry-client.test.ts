import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRegistryRepository } from "../../src/registry/client/registry-repository.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { describeRepository } from "./repository-suite.ts";

describeRepository("the registry client over the embedded registry", async () => {
  await using cleanups = new AsyncDisposableStack();
  const root = await mkdtemp(join(tmpdir(), "ballast-client-suite-"));
  cleanups.defer(() => rm(root, { recursive: true, force: true }));
  const server = cleanups.use(await startRegistry({ root }));
  const open = async (repository: string) =>
    cleanups.use(await openRegistryRepository({ host: server.address, repository, writes: true }));
  const repository = await open("team/model");
  const anotherRepositoryOnSameHost = await open("team/base");
  const owned = cleanups.move();
  return { repository, anotherRepositoryOnSameHost, dispose: () => owned.disposeAsync() };
});
