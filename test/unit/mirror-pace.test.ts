import { once } from "node:events";
import { createServer, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { requirePace } from "../../src/agent/mirror/pace.ts";

afterEach(() => vi.useRealTimers());

/** A response on its way to a reader who takes nothing. */
async function openResponse() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sent = request({ port, host: "127.0.0.1" }).end();
  sent.on("error", () => undefined);
  const [, response] = (await once(server, "request")) as [unknown, ServerResponse];
  return {
    response,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

test("a response of which nothing is taken is cut, one that gets on is not", async () => {
  await using opened = await openResponse();
  const { response } = opened;
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  using _ = requirePace(response, 1000);
  vi.advanceTimersByTime(1000);
  for (let turn = 0; turn < 3; turn += 1) {
    response.write("more");
    vi.advanceTimersByTime(1000);
    expect(response.destroyed).toBe(false);
  }
  vi.advanceTimersByTime(1000);
  expect(response.destroyed).toBe(true);
});

test("a response is left alone once it has ended", async () => {
  await using opened = await openResponse();
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  requirePace(opened.response, 1000)[Symbol.dispose]();
  vi.advanceTimersByTime(5000);
  expect(opened.response.destroyed).toBe(false);
});
