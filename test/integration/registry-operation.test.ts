import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request as sendSecurely } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectSecurely, type TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import type { AccessRecord } from "../../src/registry/server/conversation.ts";
import {
  type RegistryOptions,
  type RegistryServer,
  startRegistry,
} from "../../src/registry/server/server.ts";
import { makeCertificates } from "../support/certificates.ts";
import { basic, writeHtpasswd } from "../support/htpasswd.ts";

let folder: string;
let registry: RegistryServer;
let records: AccessRecord[];
const warnings: string[] = [];

beforeEach(async () => {
  records = [];
  warnings.length = 0;
  folder = await mkdtemp(join(tmpdir(), "operation-"));
});
afterEach(async () => {
  await registry.close();
  await rm(folder, { recursive: true, force: true });
});

async function start(options: Omit<RegistryOptions, "root"> = {}): Promise<void> {
  registry = await startRegistry({
    root: join(folder, "root"),
    onRequest: (record) => void records.push(record),
    onWarning: (message) => void warnings.push(message),
    ...options,
  });
}

const metricsListen = { host: "127.0.0.1", port: 0 };

describe("metrics", () => {
  test("count requests by what was asked for, never by name, and say what is free", async () => {
    await start({ metricsListen });
    const bytes = Buffer.alloc(100_000);
    const path = `/v2/team/m/blobs/uploads/?digest=${digestOf(bytes)}`;
    await fetch(`${registry.url}${path}`, { method: "POST", body: bytes });
    await fetch(`${registry.url}/v2/team/m/manifests/none`);
    const response = await fetch(`${registry.metricsUrl}/metrics`);
    const text = await response.text();
    expect(response.headers.get("content-type")).toContain("application/openmetrics-text");
    expect(text).toContain('requests_total{operation="upload",method="POST",status="201"} 1');
    expect(text).toContain('requests_total{operation="manifest",method="GET",status="404"} 1');
    expect(Number(/bytes_total\{direction="in"\} (\d+)/.exec(text)?.[1])).toBeGreaterThan(100_000);
    expect(Number(/free_bytes (\d\S*)/.exec(text)?.[1])).toBeGreaterThan(0);
    expect(text).not.toContain("team");
  });

  test("are not served where the registry is", async () => {
    await start({ metricsListen });
    expect((await fetch(`${registry.url}/metrics`)).status).toBe(404);
    expect((await fetch(`${registry.metricsUrl}/v2/`)).status).toBe(404);
  });
});

describe("health", () => {
  const ask = async (path: string, url = registry.url) => (await fetch(`${url}${path}`)).status;

  test("is told without a login", async () => {
    await start({ auth: { username: "me", password: "secret" } });
    for (const path of ["/healthz", "/readyz", "/readyz/read"]) expect(await ask(path)).toBe(200);
  });

  test("below the watermark it is ready to be read, not to be written to", async () => {
    await start({ limits: { minFreeShare: 1 } });
    expect([await ask("/healthz"), await ask("/readyz/read"), await ask("/readyz")]).toEqual([
      200, 200, 503,
    ]);
  });

  test("without its folder it is not ready to be written to", async () => {
    await start();
    await rm(join(folder, "root"), { recursive: true });
    expect([await ask("/healthz"), await ask("/readyz")]).toEqual([200, 503]);
  });

  test("is not ready while it stops, lets running requests end, and cuts none", async () => {
    await start({ metricsListen });
    const socket = connect(Number(new URL(registry.url).port), "127.0.0.1");
    const bytes = "content";
    const path = `/v2/team/m/blobs/uploads/?digest=${digestOf(bytes)}`;
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n\r\n`;
    socket.write(`${head}cont`);
    await once(socket, "connect");
    // An answer that was asked for later says that the request runs.
    await fetch(`${registry.url}/v2/`);
    const closed = registry.close();
    await expect.poll(() => ask("/readyz", registry.metricsUrl)).toBe(503);
    await expect(fetch(`${registry.url}/v2/`)).rejects.toThrow(/fetch failed/);
    socket.write("ent");
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 201 [\s\S]*connection: close/i);
    await closed;
  });
});

test("the log has user, bytes and an id that the client has too, and no query", async () => {
  const htpasswdFile = join(folder, "htpasswd");
  await writeHtpasswd(htpasswdFile, { ann: "secret" });
  await start({ htpasswdFile });
  const path = "/v2/team/m/tags/list?n=1&token=hidden";
  const headers = { authorization: basic("ann", "secret") };
  const response = await fetch(`${registry.url}${path}`, { headers });
  await response.text();
  await fetch(`${registry.url}/v2/`);
  await expect.poll(() => records.length).toBe(2);
  expect(records[0]).toMatchObject({
    user: "ann",
    path: "/v2/team/m/tags/list",
    status: 404,
    requestId: response.headers.get("x-request-id"),
  });
  expect(records[0]?.bytesIn).toBeGreaterThan(100);
  expect(records[0]?.bytesOut).toBeGreaterThan(100);
  expect(records[1]).toMatchObject({ user: undefined, status: 401 });
  expect(JSON.stringify(records)).not.toMatch(/secret|hidden/);
});

describe("a certificate that changes", () => {
  const inside = (name: string) => join(folder, name);
  const [certFile, keyFile] = ["cert.pem", "key.pem"];

  async function put(name: string) {
    const made = inside(name);
    await mkdir(made, { recursive: true });
    const { authority, server } = await makeCertificates(made);
    await copyFile(server.certificateFile, inside(certFile));
    await copyFile(server.keyFile, inside(keyFile));
    return authority;
  }

  const dial = async (ca: string) => {
    const socket = connectSecurely({ port: Number(new URL(registry.url).port), ca });
    await once(socket, "secureConnect");
    return socket;
  };

  const ask = async (socket: TLSSocket) => {
    socket.write("GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
    const [answer] = (await once(socket, "data")) as [Buffer];
    return answer.toString().split("\r\n")[0];
  };

  test("is shown to new connections; those that are open go on", async () => {
    const first = await put("first");
    await start({ tls: { certFile: inside(certFile), keyFile: inside(keyFile) } });
    const open = await dial(first);
    const second = await put("second");
    await registry.reload();
    await expect(dial(first)).rejects.toThrow(/certificate/);
    const other = await dial(second);
    expect([await ask(open), await ask(other)]).toEqual(["HTTP/1.1 200 OK", "HTTP/1.1 200 OK"]);
    expect(records.every(({ bytesIn, bytesOut }) => bytesIn > 20 && bytesOut > 100)).toBe(true);
    for (const socket of [open, other]) socket.destroy();
  });

  test("to one that is none is not taken, and that is told", async () => {
    const first = await put("first");
    await start({ tls: { certFile: inside(certFile), keyFile: inside(keyFile) } });
    await put("second");
    await writeFile(inside(keyFile), "-----BEGIN");
    await registry.reload();
    expect(warnings.join()).toContain("no certificate");
    (await dial(first)).destroy();
  });

  test("is TLS 1.2 or newer, and asks clients for theirs where it is told to", async () => {
    const ca = await put("first");
    const port = () => Number(new URL(registry.url).port);
    const tls = { certFile: inside(certFile), keyFile: inside(keyFile) };
    await start({ tls: { ...tls, clientAuthorityFile: inside("first/authority.pem") } });
    const old = connectSecurely({ port: port(), ca, maxVersion: "TLSv1.1", minVersion: "TLSv1" });
    await expect(once(old, "secureConnect")).rejects.toThrow(/protocol|EPROTO|ECONNRESET/i);
    const send = async (more: object) => {
      const request = sendSecurely({ port: port(), ca, path: "/v2/", ...more }).end();
      const [response] = (await once(request, "response")) as [{ statusCode: number }];
      return response.statusCode;
    };
    await expect(send({})).rejects.toThrow(/certificate|hang up|ECONNRESET/i);
    const own = { cert: await readFile(inside(certFile)), key: await readFile(inside(keyFile)) };
    expect(await send(own)).toBe(200);
  });
});
