import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createSecureServer } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import {
  openRegistryRepository,
  type RegistryRepository,
  type RegistryRepositoryOptions,
} from "../../src/registry/client/registry-repository.ts";
import {
  type Certificates,
  type KeyPair,
  makeCertificates,
  makeSelfSigned,
} from "../support/certificates.ts";
import { startForwardProxy } from "../support/forward-proxy.ts";
import { startFaultRegistry } from "../support/registry-faults.ts";

const content = Buffer.alloc(100_000, "x");
const digest = digestOf(content);
let folder: string;
let certificates: Certificates;
const opened: AsyncDisposable[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ballast-network-"));
  certificates = await makeCertificates(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const resource of opened.splice(0).reverse()) await resource[Symbol.asyncDispose]();
});

function keep<T extends AsyncDisposable>(resource: T): T {
  opened.push(resource);
  return resource;
}

async function open(
  host: string,
  options: Partial<RegistryRepositoryOptions> = {},
): Promise<RegistryRepository> {
  const retry = { attempts: 2, baseDelayMs: 1 };
  return keep(await openRegistryRepository({ host, repository: "team/model", retry, ...options }));
}

async function startRegistry(tls = false) {
  const registry = keep(await startFaultRegistry(tls ? { tls: certificates.server } : {}));
  registry.addBlob(content);
  return registry;
}

/** A certificate that signs itself, for one DNS name. */
async function makeNamed(dnsName: string): Promise<KeyPair> {
  const [keyFile, certificateFile] = [join(folder, "named.key"), join(folder, "named.pem")];
  const names = ["-subj", `/CN=${dnsName}`, "-addext", `subjectAltName=DNS:${dnsName}`];
  const files = ["-keyout", keyFile, "-out", certificateFile];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await promisify(execFile)("openssl", ["req", "-x509", ...curve, ...names, ...files]);
  const [key, certificate] = [
    await readFile(keyFile, "utf8"),
    await readFile(certificateFile, "utf8"),
  ];
  return { key, certificate, keyFile, certificateFile };
}

/** Listens on 127.0.0.1 and returns `host:port`. */
async function listen(server: Server): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  keep({ [Symbol.asyncDispose]: async () => void server.close() });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("TLS", () => {
  test("trusts the CAs it is given, besides others", async () => {
    const registry = await startRegistry(true);
    const other = await makeSelfSigned(folder, "other");
    const ca = [other.certificate, `# a comment\n${certificates.authority}`];
    const repository = await open(registry.host, { plainHttp: false, ca });
    expect(await repository.statBlob(digest)).toBe(100_000);
  });

  test("does not trust others, says how to, and does not try again", async () => {
    const registry = await startRegistry(true);
    const asking = (await open(registry.host, { plainHttp: false })).statBlob(digest);
    await expect(asking).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      retryable: false,
      hint: expect.stringContaining("--ca-file"),
    });
    expect(registry.connections()).toBe(1);
  });

  test("checks the name in the certificate", async () => {
    const nameless = await makeSelfSigned(folder, "nameless");
    const registry = keep(await startFaultRegistry({ tls: nameless }));
    const repository = await open(registry.host, { plainHttp: false, ca: nameless.certificate });
    const asking = repository.statBlob(digest);
    await expect(asking).rejects.toMatchObject({ retryable: false });
    await expect(asking).rejects.toThrow("another name");
  });

  test.each(["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])(
    "refuses %j as a CA",
    async (ca) => {
      await expect(open("registry.example.com", { ca })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
    },
  );

  test("names --plain-http when the server speaks plain HTTP", async () => {
    const registry = await startRegistry();
    const asking = (await open(registry.host, { plainHttp: false })).statBlob(digest);
    await expect(asking).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      retryable: false,
      hint: expect.stringContaining("--plain-http"),
    });
  });

  test("names HTTPS when a server that speaks it is asked in plain HTTP", async () => {
    const registry = await startRegistry(true);
    const asking = (await open(registry.host)).statBlob(digest);
    await expect(asking).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
  });

  test("is not left by a redirect", async () => {
    const registry = await startRegistry(true);
    const storage = await startRegistry();
    registry.redirectBlobs = (blob) => `${storage.url}/storage/${blob}`;
    const repository = await open(registry.host, { plainHttp: false, ca: certificates.authority });
    await expect(repository.statBlob(digest)).rejects.toMatchObject({ code: "REGISTRY_PROTOCOL" });
    expect(storage.seen).toHaveLength(0);
  });

  test("may be entered by a redirect", async () => {
    const storage = await startRegistry(true);
    const registry = await startRegistry();
    registry.redirectBlobs = (blob) => `${storage.url}/storage/${blob}`;
    const repository = await open(registry.host, { ca: certificates.authority });
    expect(await repository.statBlob(digest)).toBe(100_000);
  });

  test("sends no password to a token realm without it", async () => {
    const registry = await startRegistry(true);
    const headers = { "www-authenticate": 'Bearer realm="http://127.0.0.1:1/token"' };
    registry.answers.push({ on: /./, status: 401, headers });
    const repository = await open(registry.host, { plainHttp: false, ca: certificates.authority });
    await expect(repository.statBlob(digest)).rejects.toMatchObject({ code: "REGISTRY_PROTOCOL" });
  });

  test("speaks HTTP/2 with a server that has nothing else", async () => {
    const { key, certificate: cert } = certificates.server;
    const server = createSecureServer({ key, cert, allowHTTP1: false });
    server.on("stream", (stream) => {
      stream.respond({ ":status": 200, "content-length": content.byteLength });
      stream.end(content);
    });
    const host = await listen(server);
    const openReader = async () => {
      const repository = await open(host, { plainHttp: false, ca: certificates.authority });
      const read = async () => {
        const pieces = [];
        for await (const piece of repository.readBlob(digest)) pieces.push(Buffer.from(piece));
        return Buffer.concat(pieces).equals(content);
      };
      return { repository, read };
    };
    const one = await openReader();
    expect(await one.read()).toBe(true);
    expect(one.repository.requests.registry).toBe(1);
    const many = await openReader();
    expect(await Promise.all([1, 2, 3, 4].map(many.read))).toEqual([true, true, true, true]);
  });
});

describe("a proxy", () => {
  const name = "registry.example.com:5000";
  const dead = "http://127.0.0.1:1";

  test("for plain HTTP gets whole URLs and its own password", async () => {
    const registry = await startRegistry();
    const proxy = keep(await startForwardProxy(registry.host));
    const environment = { http_proxy: proxy.url.replace("//", "//me:pw@") };
    const repository = await open(name, { plainHttp: true, environment });
    expect(await repository.statBlob(digest)).toBe(100_000);
    expect(proxy.seen).toEqual([`HEAD http://${name}/v2/team/model/blobs/${digest}`]);
    expect(proxy.authorizations).toEqual([`Basic ${Buffer.from("me:pw").toString("base64")}`]);
    expect(registry.seen[0]?.headers.host).toBe(name);
  });

  test("for HTTPS gets CONNECT, and TLS is with the registry", async () => {
    const pair = await makeNamed("registry.example.com");
    const registry = keep(await startFaultRegistry({ tls: pair }));
    registry.addBlob(content);
    const proxy = keep(await startForwardProxy(registry.host));
    const environment = { HTTPS_PROXY: proxy.url.slice("http://".length), HTTP_PROXY: dead };
    const repository = await open(name, { ca: pair.certificate, environment });
    expect(await repository.statBlob(digest)).toBe(100_000);
    expect(proxy.seen).toEqual([`CONNECT ${name}`]);
  });

  test.each([
    ["NO_PROXY names the host", { NO_PROXY: "other.example.com, .invalid" }],
    ["only HTTPS has one", { HTTP_PROXY: undefined, HTTPS_PROXY: "proxy" }],
  ])("is left out when %s", async (_, change) => {
    const registry = await startRegistry();
    const proxy = keep(await startForwardProxy(registry.host));
    const environment = Object.fromEntries(
      Object.entries({ HTTP_PROXY: proxy.url, ...change }).map(([key, value]) => [
        key,
        value === "proxy" ? proxy.url : value,
      ]),
    );
    const repository = await open("host.invalid", { plainHttp: true, environment });
    await expect(repository.statBlob(digest)).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
    });
    expect(proxy.seen).toHaveLength(0);
  });

  test("is not looked up in the environment of the process", async () => {
    const registry = await startRegistry();
    const proxy = keep(await startForwardProxy(registry.host));
    for (const variable of ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"])
      vi.stubEnv(variable, dead);
    for (const variable of ["NO_PROXY", "no_proxy"]) vi.stubEnv(variable, "*");
    const direct = await open("host.invalid", { plainHttp: true, environment: {} });
    await expect(direct.statBlob(digest)).rejects.toThrow(/DNS/);
    const environment = { HTTP_PROXY: proxy.url };
    const proxied = await open("host.invalid", { plainHttp: true, environment });
    expect(await proxied.statBlob(digest)).toBe(100_000);
  });

  test("is never used for loopback", async () => {
    const registry = await startRegistry();
    const environment = { HTTP_PROXY: dead, HTTPS_PROXY: dead };
    expect(await (await open(registry.host, { environment })).statBlob(digest)).toBe(100_000);
  });

  test.each([403, 407])("that answers CONNECT with %d is named as the reason", async (status) => {
    const proxy = keep(await startForwardProxy("127.0.0.1:1"));
    proxy.refuseWith = status;
    const repository = await open(name, { environment: { HTTPS_PROXY: proxy.url } });
    const asking = repository.statBlob(digest);
    await expect(asking).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      hint: expect.stringContaining("HTTPS_PROXY"),
    });
  });

  test.each(["ftp://user:secret@x", "http://[bad", "::"])("%j is refused", async (url) => {
    const opening = open(name, { environment: { HTTPS_PROXY: url } });
    await expect(opening).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(opening).rejects.not.toThrow("secret");
  });
});

describe("a registry that cannot be used", () => {
  test("because nothing listens there is named, after another try", async () => {
    const asking = (await open("127.0.0.1:1")).statBlob(digest);
    await expect(asking).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE", retryable: true });
    await expect(asking).rejects.toThrow(/127\.0\.0\.1:1.*refused the connection/);
  });

  test("because it does not answer is given up on", async () => {
    const host = await listen(
      createTcpServer((socket) => void socket.on("error", () => undefined).resume()),
    );
    const asking = (await open(host, { timeouts: { headersMs: 100 } })).statBlob(digest);
    await expect(asking).rejects.toThrow("did not answer in time");
  });

  test("because it does not speak HTTP is named", async () => {
    const host = await listen(
      createTcpServer((socket) => void socket.on("error", () => undefined).end("SSH-2.0-x\r\n")),
    );
    const asking = (await open(host)).statBlob(digest);
    await expect(asking).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE", retryable: false });
  });

  test("because it stops taking the body is given up on", async () => {
    const server = createHttpServer((request, response) => {
      if (request.method === "PUT") return;
      response.writeHead(202, { location: "/v2/team/model/blobs/uploads/1" }).end();
    });
    const host = await listen(server);
    const repository = await open(host, { timeouts: { bodyMs: 200 } });
    const body = function* () {
      for (let piece = 0; piece < 64; piece += 1) yield Buffer.alloc(1_048_576);
    };
    const putting = repository.putBlob({ digest, size: 64 * 1_048_576 }, body);
    await expect(putting).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      message: expect.stringContaining("stopped taking"),
    });
    server.closeAllConnections();
  });

  test("because we closed it ends what is in flight", async () => {
    const host = await listen(
      createTcpServer((socket) => void socket.on("error", () => undefined).resume()),
    );
    const repository = await open(host);
    await Promise.all([
      expect(repository.statBlob(digest)).rejects.toMatchObject({ retryable: false }),
      repository[Symbol.asyncDispose](),
    ]);
  });

  test.each([
    [{ repository: "Team/Model" }, "INVALID_REFERENCE"],
    [{ repository: "a/../b" }, "INVALID_REFERENCE"],
    [{ host: "registry.example.com/team" }, "INVALID_ARGUMENT"],
  ])("because of %j is refused before anything is sent", async (options, code) => {
    await expect(open("127.0.0.1:1", options)).rejects.toMatchObject({ code });
  });
});
