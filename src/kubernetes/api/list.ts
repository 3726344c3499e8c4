import type { Abortable } from "../../core/progress.ts";
import { isApiError } from "./api-error.ts";
import type { ClusterApi } from "./cluster-api.ts";
import type { ApiList, ApiObject } from "./objects.ts";

/** Some objects of the cluster: a path, and what is chosen of it. */
export interface Collection {
  /** Such as `/api/v1/pods` or `/api/v1/namespaces/a/pods`. */
  readonly path: string;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Only names, labels and annotations: a fraction of the memory. */
  readonly metadataOnly?: boolean | undefined;
}

const pageSize = 500;

/** Only names, labels and annotations of an object: `accept` of a request. */
export const acceptMetadata =
  "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const acceptMetadataList =
  "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/** All objects of a collection, and the version at which they were so. */
export async function listAll<T extends ApiObject>(
  api: ClusterApi,
  collection: Collection,
  options: Abortable = {},
): Promise<{ items: T[]; resourceVersion: string }> {
  return readPages<T, T>(api, collection, (object) => object, options);
}

/**
 * What `choose` makes of each object of a collection, without those of which it makes nothing. Read page
 * by page, so that memory holds one page and what was chosen, however many objects there are.
 */
export async function pickAll<T extends ApiObject, R>(
  api: ClusterApi,
  collection: Collection,
  choose: (object: T) => R | undefined,
  options: Abortable = {},
): Promise<R[]> {
  return (await readPages(api, collection, choose, options)).items;
}

async function readPages<T extends ApiObject, R>(
  api: ClusterApi,
  { path, labelSelector, fieldSelector, metadataOnly }: Collection,
  choose: (object: T) => R | undefined,
  options: Abortable,
): Promise<{ items: R[]; resourceVersion: string }> {
  const accept = metadataOnly === true ? acceptMetadataList : undefined;
  const items: R[] = [];
  let from: string | undefined;
  for (;;) {
    const query = { labelSelector, fieldSelector, limit: pageSize, continue: from };
    try {
      const page = await api.call<ApiList<T>>({ method: "GET", path, query, accept }, options);
      items.push(...(page.items ?? []).map(choose).filter((each) => each !== undefined));
      from = page.metadata.continue;
      if (from === undefined || from === "")
        return { items, resourceVersion: page.metadata.resourceVersion ?? "" };
    } catch (error) {
      // The pages are of one moment, which the server has forgotten.
      if (!isApiError(error, 410) || from === undefined) throw error;
      items.length = 0;
      from = undefined;
    }
  }
}
