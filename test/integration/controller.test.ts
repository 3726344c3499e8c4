import { expect, test } from "vitest";
import { createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { type Controller, startController } from "../../src/kubernetes/controller/controller.ts";
import { type FakeApiServer, startFakeApiServer } from "../support/fake-api-server.ts";

const namespace = "ballast-system";
const soon = { timeout: 20_000, interval: 50 };

async function start(
  server: FakeApiServer,
  log: string[] = [],
): Promise<Controller & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const api = opened.use(
    createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "ballast-test" }),
  );
  const controller = opened.use(
    await startController({
      api,
      namespace,
      listen: { host: "127.0.0.1", port: 0 },
      staleSeconds: 60,
      write: (line) => log.push(line),
    }),
  );
  const owned = opened.move();
  return { port: controller.port, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function ask({ port }: Controller, path: string): Promise<{ status: number; text: string }> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: answer.status, text: await answer.text() };
}

const leading = async (each: Controller) =>
  (await ask(each, "/metrics")).text.includes("ballast_controller_leading 1");

test("of two replicas one leads and both are ready; the other takes over at once when it ends", async () => {
  await using server = await startFakeApiServer();
  const first = await start(server);
  await expect.poll(() => leading(first), soon).toBe(true);
  await using second = await start(server);
  for (const each of [first, second])
    await expect.poll(() => ask(each, "/readyz"), soon).toEqual({ status: 200, text: "ready\n" });
  expect(await leading(second)).toBe(false);
  await first[Symbol.asyncDispose]();
  await expect.poll(() => leading(second), { timeout: 5000 }).toBe(true);
});

test("without a cluster it lives, is not ready and says why; then it leads", async () => {
  await using server = await startFakeApiServer();
  await server.stop();
  const log: string[] = [];
  await using controller = await start(server, log);
  expect((await ask(controller, "/healthz")).status).toBe(200);
  expect(await ask(controller, "/readyz")).toMatchObject({
    status: 503,
    text: expect.stringContaining("has not answered"),
  });
  await server.resume();
  await expect.poll(() => leading(controller), soon).toBe(true);
  await expect.poll(async () => (await ask(controller, "/readyz")).status, soon).toBe(200);
  for (const line of log) expect(JSON.parse(line)).toHaveProperty("event");
});

test("one that leads without a right that it needs is not ready, and names it", async () => {
  await using server = await startFakeApiServer();
  using _ = server.fail({ match: /persistentvolumes/, status: 403, reason: "Forbidden" });
  await using controller = await start(server);
  await expect
    .poll(() => ask(controller, "/readyz"), soon)
    .toMatchObject({ status: 503, text: expect.stringMatching(/^persistentvolumes .*403/) });
});

test("a port that is taken is an error", async () => {
  await using server = await startFakeApiServer();
  await using first = await start(server);
  using api = createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "ballast-test" });
  const listen = { host: "127.0.0.1", port: first.port };
  await expect(
    startController({ api, namespace, listen, staleSeconds: 60, write: () => undefined }),
  ).rejects.toThrow("EADDRINUSE");
});
