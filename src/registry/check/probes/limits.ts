import { maxManifestBytes } from "../../../oci/manifest.ts";
import {
  askManifest,
  makeManifest,
  offerManifest,
  putManifest,
  wantSameManifest,
} from "../deeds.ts";
import type { Ground, ManifestContent } from "../ground.ts";
import { type Probe, yes } from "../probe.ts";
import { describe, want } from "../said.ts";

const manyLayers = 600;

/** How large things may be. */
export const limitProbes: readonly Probe[] = [
  {
    id: "limit-layers",
    title: `a manifest of ${manyLayers} layers`,
    needed: "extra",
    writes: { manifestBytes: 262_144 },
    async run(ground) {
      const layers = Array.from({ length: manyLayers }, () => ground.wantBlob());
      const manifest = makeManifest(ground, { layers });
      await putManifest(ground, manifest.digest, manifest);
      await wantSameManifest(ground, manifest.digest, manifest);
      return yes;
    },
  },
  {
    id: "limit-manifest",
    title: "a manifest of 4 MiB",
    needed: "extra",
    writes: { manifestBytes: maxManifestBytes },
    async run(ground) {
      const manifest = manifestOfSize(ground, maxManifestBytes);
      await putManifest(ground, manifest.digest, manifest);
      const head = await askManifest(ground, manifest.digest, "HEAD");
      want(head, 200);
      return yes;
    },
  },
  {
    id: "limit-manifest-over",
    title: "a manifest above 4 MiB is taken, or refused with 413",
    needed: "extra",
    writes: { manifestBytes: maxManifestBytes + 1 },
    async run(ground) {
      const manifest = manifestOfSize(ground, maxManifestBytes + 1);
      const said = await offerManifest(ground, manifest.digest, manifest);
      if (said.status === 413) return { result: "yes", said: "413" };
      return said.status === 201
        ? { result: "yes", said: "takes it" }
        : { result: "partly", said: describe(said) };
    },
  },
];

/** A manifest with an annotation that fills it up. */
function manifestOfSize(ground: Ground, size: number): ManifestContent {
  const padded = (bytes: number) =>
    makeManifest(ground, { annotations: { padding: "x".repeat(bytes) } });
  return padded(size - padded(0).bytes.byteLength);
}
