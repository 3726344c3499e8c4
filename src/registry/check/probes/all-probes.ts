import type { Probe } from "../probe.ts";
import { accessProbes } from "./access.ts";
import { blobProbes } from "./blobs.ts";
import { chunkProbes } from "./chunks.ts";
import { limitProbes } from "./limits.ts";
import { manifestProbes } from "./manifests.ts";
import { mountProbes } from "./mounts.ts";
import { rangeProbes } from "./ranges.ts";
import { referrerProbes } from "./referrers.ts";
import { removalProbes } from "./removal.ts";
import { tagProbes } from "./tags.ts";
import { uploadProbes } from "./uploads.ts";

/** All probes, by subject. They run in this order: the first upload and manifest are what others read. */
export const probeGroups: readonly {
  readonly subject: string;
  readonly probes: readonly Probe[];
}[] = [
  { subject: "Access", probes: accessProbes },
  { subject: "Uploads", probes: uploadProbes },
  { subject: "Blobs", probes: blobProbes },
  { subject: "Ranges", probes: rangeProbes },
  { subject: "Uploads in chunks", probes: chunkProbes },
  { subject: "Mounts", probes: mountProbes },
  { subject: "Manifests", probes: manifestProbes },
  { subject: "Limits", probes: limitProbes },
  { subject: "Tags", probes: tagProbes },
  { subject: "Referrers", probes: referrerProbes },
  { subject: "Removal", probes: removalProbes },
];
