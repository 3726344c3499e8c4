import { ModelError } from "../core/errors.ts";
import { type ContentLimits, checkContentLimits } from "../oci/limits.ts";
import { emptyConfig, serializeManifest } from "../oci/manifest.ts";
import { layerCount, layerTarget, maxLayerBytes } from "../pack/layer-rules.ts";
import type { Source } from "../source/source.ts";
import type { PushTarget } from "./packed-model.ts";

/** Bytes of all files of a model. */
export function totalBytes({ files }: Pick<Source, "files">): number {
  return files.reduce((sum, file) => sum + file.size, 0);
}

/**
 * Throws REGISTRY_LIMIT for a model that cannot fit whatever its layers are, so that nothing is sent of
 * it: too many layers of the largest size, or annotations that alone fill a manifest. `target` is the
 * size that its layers are cut around.
 */
export function checkModelFits(
  { repository: { name }, limits, annotations, source }: PushTarget,
  target: number,
): void {
  const layerBytes = maxLayerBytes(target);
  const layers = 1 + Math.ceil(totalBytes(source) / layerBytes);
  const bare = serializeManifest({ config: emptyConfig, layers: [], annotations });
  const most = layerCount(limits);
  if (layers > most)
    throw new ModelError(
      "REGISTRY_LIMIT",
      `the model needs at least ${layers} layers of ${layerBytes} bytes; ${name} takes ${most} (${describe(limits)})`,
      { hint: "if the registry takes more, name its profile with --registry-profile" },
    );
  checkContentLimits(limits, {
    name,
    what: "the model",
    layers,
    largestBlobBytes: 0,
    manifestBytes: bare.byteLength,
  });
}

/** How a registry's limits changed the layers of a model of this size, in sentences. */
export function layerBounds(modelBytes: number, limits: ContentLimits): string[] {
  const [here, elsewhere] = [layerTarget(modelBytes, limits), layerTarget(modelBytes)];
  if (here === elsewhere) return [];
  return [`layers of at most ${maxLayerBytes(here)} bytes, because of ${describe(limits)}`];
}

function describe({ source, maxLayers, maxBlobBytes }: ContentLimits): string {
  const known = [
    maxLayers === undefined ? [] : `at most ${maxLayers} layers`,
    maxBlobBytes === undefined ? [] : `blobs of at most ${maxBlobBytes} bytes`,
  ].flat();
  return known.length === 0 ? source : `${source}: ${known.join(", ")}`;
}
