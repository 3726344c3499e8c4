import { header } from "../../client/http/answer.ts";
import { finishUpload, readBack, takeUpload } from "../deeds.ts";
import { contentOf, type Ground, makeContent } from "../ground.ts";
import { type Probe, Unmet, yes } from "../probe.ts";
import { describe, errorCode, type Said, want, wantHeader } from "../said.ts";

/** How blobs are found and read. */
export const blobProbes: readonly Probe[] = [
  {
    id: "blob-get",
    title: "GET of a blob",
    needed: "pull",
    async run(ground) {
      const { digest, bytes } = ground.wantBlob();
      const said = await askBlob(ground, digest);
      want(said, 200);
      if (!said.body.equals(bytes)) return { result: "wrong", said: "200 with other bytes" };
      return yes;
    },
  },
  {
    id: "blob-head",
    title: "HEAD of a blob tells its size and digest",
    needed: "fast",
    async run(ground) {
      const { digest, bytes } = ground.wantBlob();
      const said = await askBlob(ground, digest, "HEAD");
      want(said, 200);
      wantHeader(said, "content-length", String(bytes.byteLength));
      wantHeader(said, "docker-content-digest", digest);
      return yes;
    },
  },
  {
    id: "blob-missing",
    title: "HEAD and GET of a blob that is not there are 404",
    needed: "push",
    async run(ground) {
      const { digest } = makeContent(16);
      const head = await askBlob(ground, digest, "HEAD");
      if (head.status === 200) return { result: "wrong", said: "200 for what is not there" };
      want(head, 404);
      const get = await askBlob(ground, digest);
      want(get, 404);
      return errorCode(get) === undefined
        ? { result: "partly", said: "404 without an error code" }
        : yes;
    },
  },
  {
    id: "blob-type",
    title: "blobs are application/octet-stream",
    needed: "extra",
    async run(ground) {
      const said = await askBlob(ground, ground.wantBlob().digest, "HEAD");
      want(said, 200);
      const type = header(said, "content-type")?.split(";")[0]?.trim().toLowerCase();
      return type === "application/octet-stream" ? yes : { result: "no", said: "another type" };
    },
  },
  {
    id: "blob-place",
    title: "blobs come from the registry, or from where it redirects to",
    needed: "pull",
    async run(ground) {
      const { digest, bytes } = ground.wantBlob();
      const said = await askBlob(ground, digest, "GET", { follow: false });
      if (said.status === 200) return { result: "yes", said: "from itself" };
      want(said, 307, 301, 302, 303, 308);
      const there = await askBlob(ground, digest);
      if (there.status !== 200) throw new Unmet("no", `redirect, then ${describe(there)}`);
      if (!there.body.equals(bytes)) return { result: "wrong", said: "redirect to other bytes" };
      return { result: "yes", said: "by redirect" };
    },
  },
  {
    id: "blob-conditional",
    title: "GET with If-None-Match of what has not changed is 304",
    needed: "extra",
    async run(ground) {
      const { digest } = ground.wantBlob();
      const tag = header(await askBlob(ground, digest, "HEAD"), "etag");
      if (tag === undefined) return { result: "no", said: "no ETag" };
      const said = await askBlob(ground, digest, "GET", { headers: { "if-none-match": tag } });
      want(said, 304);
      return yes;
    },
  },
  {
    id: "blob-sha512",
    title: "blobs with sha512 digests",
    needed: "extra",
    writes: { blobBytes: 1024 },
    async run(ground) {
      const content = makeContent(1024, "sha512");
      const opened = await ground.ask({
        method: "POST",
        at: "blobs/uploads/?digest-algorithm=sha512",
      });
      want(opened, 202);
      const upload = takeUpload(ground, opened);
      // Some keep it under its sha256 digest besides.
      const { digest } = contentOf(content.bytes);
      ground.site.ledger.noteBlob({ digest, size: 0, where: "here" });
      await finishUpload(ground, upload, content, { body: content.bytes });
      await readBack(ground, content);
      return yes;
    },
  },
];

/** Asks for a blob. */
export function askBlob(
  ground: Ground,
  digest: string,
  method: "GET" | "HEAD" = "GET",
  options: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly follow?: boolean;
  } = {},
): Promise<Said> {
  return ground.ask({ method, at: `blobs/${digest}`, ...options });
}
