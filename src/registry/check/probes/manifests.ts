import { header } from "../../client/http/answer.ts";
import {
  askManifest,
  makeIndex,
  makeManifest,
  offerManifest,
  putManifest,
  tagName,
  wantDigest,
  wantSameManifest,
} from "../deeds.ts";
import { contentOf, makeContent } from "../ground.ts";
import { type Probe, Unmet, yes } from "../probe.ts";
import { describe, errorCode, want, wantHeader } from "../said.ts";

/** Manifests of a check are a few hundred bytes each. */
const smallBytes = 1500;

/** How manifests get in and out. */
export const manifestProbes: readonly Probe[] = [
  {
    id: "manifest-put",
    title: "push of a model's manifest under a tag",
    needed: "push",
    writes: { manifestBytes: smallBytes, tags: ["a"] },
    async run(ground) {
      const manifest = makeManifest(ground);
      const tag = tagName(ground, "a");
      const said = await putManifest(ground, tag, manifest);
      const back = await askManifest(ground, tag);
      if (back.status === 404) return { result: "wrong", said: "says that it is stored, then 404" };
      want(back, 200);
      if (!back.body.equals(manifest.bytes))
        return { result: "wrong", said: "stores another manifest" };
      ground.site.manifest = manifest;
      ground.site.tag = tag;
      wantDigest(said, manifest);
      return yes;
    },
  },
  {
    id: "manifest-get",
    title: "GET of a manifest by digest and by tag",
    needed: "pull",
    async run(ground) {
      const manifest = ground.wantManifest();
      await wantSameManifest(ground, manifest.digest, manifest);
      if (ground.site.tag !== undefined) await wantSameManifest(ground, ground.site.tag, manifest);
      return yes;
    },
  },
  {
    id: "manifest-head",
    title: "HEAD of a manifest tells its digest, size and type",
    needed: "fast",
    async run(ground) {
      const manifest = ground.wantManifest();
      const said = await askManifest(ground, ground.site.tag ?? manifest.digest, "HEAD");
      want(said, 200);
      wantDigest(said, manifest);
      wantHeader(said, "content-length", String(manifest.bytes.byteLength));
      wantHeader(said, "content-type", manifest.mediaType);
      return yes;
    },
  },
  {
    id: "manifest-missing",
    title: "HEAD and GET of a manifest that is not there are 404",
    needed: "push",
    async run(ground) {
      const { digest } = makeContent(16);
      const head = await askManifest(ground, digest, "HEAD");
      if (head.status === 200) return { result: "wrong", said: "200 for what is not there" };
      want(head, 404);
      const get = await askManifest(ground, digest);
      want(get, 404);
      return errorCode(get) === undefined
        ? { result: "partly", said: "404 without an error code" }
        : yes;
    },
  },
  {
    id: "manifest-conditional",
    title: "GET of a manifest with If-None-Match is 304",
    needed: "extra",
    async run(ground) {
      const { digest } = ground.wantManifest();
      const tag = header(await askManifest(ground, digest, "HEAD"), "etag");
      if (tag === undefined) return { result: "no", said: "no ETag" };
      want(await askManifest(ground, digest, "GET", { "if-none-match": tag }), 304);
      return yes;
    },
  },
  {
    id: "manifest-digest",
    title: "push of a manifest by its digest",
    needed: "extra",
    writes: { manifestBytes: smallBytes },
    async run(ground) {
      const manifest = makeManifest(ground);
      await putManifest(ground, manifest.digest, manifest);
      await wantSameManifest(ground, manifest.digest, manifest);
      return yes;
    },
  },
  {
    id: "manifest-sha512",
    title: "push of a manifest by its sha512 digest",
    needed: "extra",
    writes: { manifestBytes: smallBytes },
    async run(ground) {
      const { bytes, mediaType } = makeManifest(ground);
      const manifest = { ...contentOf(bytes, "sha512"), mediaType };
      await putManifest(ground, manifest.digest, manifest);
      await wantSameManifest(ground, manifest.digest, manifest);
      return yes;
    },
  },
  {
    id: "manifest-index",
    title: "an image index, and one of image indexes",
    needed: "extra",
    writes: { manifestBytes: 2 * smallBytes },
    async run(ground) {
      const inner = makeIndex(ground, [ground.wantManifest()]);
      await putManifest(ground, inner.digest, inner);
      const outer = makeIndex(ground, [inner]);
      await putManifest(ground, outer.digest, outer);
      await wantSameManifest(ground, outer.digest, outer);
      return yes;
    },
  },
  {
    id: "manifest-blob-missing",
    title: "a manifest of a blob that is not there is refused",
    needed: "extra",
    writes: { manifestBytes: smallBytes },
    async run(ground) {
      const manifest = makeManifest(ground, { layers: [makeContent(16)] });
      const said = await offerManifest(ground, manifest.digest, manifest);
      if (said.status === 201) return { result: "no", said: "201: takes it" };
      want(said, 400, 404);
      return yes;
    },
  },
  {
    id: "manifest-verified",
    title: "a manifest under the digest of another is refused",
    needed: "extra",
    writes: { manifestBytes: smallBytes },
    async run(ground) {
      const { bytes, mediaType } = makeManifest(ground);
      const other = { ...makeContent(16), bytes, mediaType };
      const said = await offerManifest(ground, other.digest, other);
      if (said.status < 300) return { result: "wrong", said: `${said.status} for another digest` };
      want(said, 400);
      return yes;
    },
  },
  {
    id: "manifest-malformed",
    title: "what is no manifest is refused",
    needed: "extra",
    writes: { manifestBytes: smallBytes, tags: ["broken"] },
    async run(ground) {
      const { mediaType } = makeManifest(ground);
      const broken = { ...contentOf(Buffer.from(`{"broken":"${ground.site.name}`)), mediaType };
      const said = await offerManifest(ground, tagName(ground, "broken"), broken);
      if (said.status < 300) throw new Unmet("no", `${describe(said)}: takes it`);
      want(said, 400);
      return yes;
    },
  },
  {
    id: "tag-move",
    title: "a tag can be moved to another manifest",
    needed: "extra",
    writes: { manifestBytes: 2 * smallBytes, tags: ["moved"] },
    async run(ground) {
      const tag = tagName(ground, "moved");
      await putManifest(ground, tag, makeManifest(ground));
      const next = makeManifest(ground);
      await putManifest(ground, tag, next);
      await wantSameManifest(ground, tag, next);
      return yes;
    },
  },
];
