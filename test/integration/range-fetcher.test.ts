import { expect, test, vi } from "vitest";
import { createRangeFetcher, type RangeFetch } from "../../src/transfer/socket/range-fetcher.ts";
import { type RawRangeServer, startRawRangeServer } from "../support/raw-range-server.ts";

const content = Buffer.alloc(300_000, "content");
const timeouts = { connectMs: 5000, headersMs: 5000, bodyMs: 5000 };

test("a kept connection is used again, and gives way to one to another place or with other memory", async () => {
  await using first = await startRawRangeServer({ content });
  await using second = await startRawRangeServer({ content });
  const fetcher = createRangeFetcher();
  const fetch = async (server: RawRangeServer, bufferBytes: number) => {
    let came = 0;
    const range = { offset: 0, length: 200_000 };
    const wanted: RangeFetch = {
      url: server.url,
      headers: {},
      range,
      ca: [],
      timeouts,
      bufferBytes,
    };
    await fetcher.fetch(wanted, (bytes) => (came += bytes.byteLength)).ended;
    expect(came).toBe(200_000);
  };
  await fetch(first, 131_072);
  await fetch(first, 131_072);
  expect(first).toMatchObject({ connections: 1, open: 1 });
  await fetch(second, 131_072);
  await vi.waitFor(() => expect(first.open).toBe(0));
  await fetch(second, 262_144);
  await vi.waitFor(() => expect(second).toMatchObject({ connections: 2, open: 1 }));
});
