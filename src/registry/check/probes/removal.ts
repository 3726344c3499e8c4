import { askManifest, makeManifest, putBlob, putManifest, tagName, wantNow } from "../deeds.ts";
import { makeContent } from "../ground.ts";
import { type Probe, yes } from "../probe.ts";
import { describe, want } from "../said.ts";
import { askBlob } from "./blobs.ts";

const smallBytes = 1500;

/** What can be taken away again. */
export const removalProbes: readonly Probe[] = [
  {
    id: "delete-tag",
    title: "DELETE of a tag leaves its manifest",
    needed: "extra",
    writes: { manifestBytes: smallBytes, tags: ["deleted"] },
    async run(ground) {
      const manifest = makeManifest(ground);
      const tag = tagName(ground, "deleted");
      await putManifest(ground, tag, manifest);
      want(await ground.ask({ method: "DELETE", at: `manifests/${tag}` }), 202, 200, 204);
      wantNow(await askManifest(ground, tag, "HEAD"), 404, "that it is gone");
      const kept = await askManifest(ground, manifest.digest, "HEAD");
      return kept.status === 200 ? yes : { result: "partly", said: "the manifest goes too" };
    },
  },
  {
    id: "delete-manifest",
    title: "DELETE of a manifest takes its tags along",
    needed: "extra",
    writes: { manifestBytes: smallBytes, tags: ["removed"] },
    async run(ground) {
      const manifest = makeManifest(ground);
      const tag = tagName(ground, "removed");
      await putManifest(ground, tag, manifest);
      want(
        await ground.ask({ method: "DELETE", at: `manifests/${manifest.digest}` }),
        202,
        200,
        204,
      );
      wantNow(await askManifest(ground, manifest.digest, "HEAD"), 404, "that it is gone");
      const left = await askManifest(ground, tag, "HEAD");
      return left.status === 404
        ? yes
        : { result: "partly", said: `the tag stays: ${describe(left)}` };
    },
  },
  {
    id: "delete-blob",
    title: "DELETE of a blob",
    needed: "extra",
    writes: { blobBytes: smallBytes },
    async run(ground) {
      const content = makeContent(smallBytes);
      await putBlob(ground, content);
      const at = `blobs/${content.digest}`;
      want(await ground.ask({ method: "DELETE", at }), 202, 200, 204);
      wantNow(await askBlob(ground, content.digest, "HEAD"), 404, "that it is gone");
      return yes;
    },
  },
  {
    id: "delete-missing",
    title: "DELETE of what is not there is 404",
    needed: "extra",
    writes: {},
    async run(ground) {
      const { digest } = makeContent(16);
      want(await ground.ask({ method: "DELETE", at: `manifests/${digest}` }), 404);
      want(await ground.ask({ method: "DELETE", at: `blobs/${digest}` }), 404);
      return yes;
    },
  },
];
