import { resolve } from "node:path";
import { type CheckOptions, readChecked } from "./checked-body.ts";
import type { LinkedBlob } from "./links.ts";
import type { Side } from "./side.ts";

/** After so many refusals in a row a registry is not asked for another; between folders one tells. */
const maxRefusals = 3;

/**
 * How blobs get from the source to the target without being sent: a mount between repositories of one
 * host, a hard link between folders. Resolves to false for what must be sent. A link is made of content
 * that was read and is right only; a registry's content is its own word.
 */
export function mountSource(
  options: CheckOptions & { readonly target: Side },
): (blob: LinkedBlob) => Promise<boolean> {
  const { source, target, signal } = options;
  const [from, to] = [source.reference, target.reference];
  let refusals = 0;
  const mount = async (blob: LinkedBlob, place: string, mostRefusals: number) => {
    if (refusals >= mostRefusals) return false;
    if (from.kind === "layout") await readAll(blob, options);
    const { repository } = target;
    const isMounted = await target.on(() => repository.mountBlob(blob.digest, place, { signal }));
    refusals = isMounted ? 0 : refusals + 1;
    return isMounted;
  };
  if (from.kind === "layout" && to.kind === "layout")
    return (blob) => mount(blob, `oci:${resolve(from.directory)}`, 1);
  if (from.kind !== "registry" || to.kind !== "registry") return async () => false;
  if (from.host !== to.host || from.repository === to.repository) return async () => false;
  return (blob) => mount(blob, from.repository, maxRefusals);
}

async function readAll(blob: LinkedBlob, options: CheckOptions): Promise<void> {
  const pieces = readChecked(blob, options);
  while ((await pieces.next()).done !== true);
}
