import type { Row } from "../bench.ts";
import type { ClusterPlace } from "./cluster-place.ts";

/** What the installation of a cluster's first node takes. */
export const clusterInstall: Row<ClusterPlace> = {
  id: "cluster-install",
  title: "from helm install to the first pod that has its model, of 64 MiB",
  measure: async ({ firstMountSeconds: value }) => {
    const fact = { id: "first-mount", label: "helm install to first mount", value } as const;
    return {
      entries: [],
      facts: [{ ...fact, unit: "seconds" }],
      notes: [
        "No image is pulled and no container started: the parts are processes, started one after the other.",
      ],
    };
  },
};
