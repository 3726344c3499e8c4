import { defineStage, type Row, type Stage } from "../bench.ts";
import { whyNoNode } from "../measure/node-rights.ts";
import { nodeCold } from "./node-cold.ts";
import { type NodePlace, prepareNodePlace } from "./node-place.ts";
import { nodePublish } from "./node-publish.ts";
import { nodeRead } from "./node-read.ts";

/** What a node's programs do for its pods. */
export const nodeStage: Stage = defineStage({
  prepare: prepareNodePlace,
  // What the registry holds and either the model or the node's store.
  dataBytes: ({ bytes }) => 2.2 * bytes,
  rows: [nodePublish, nodeRead, nodeCold].map(whereNodesRun),
});

/** Leaves the row out where this machine cannot be a node. */
function whereNodesRun(row: Row<NodePlace>): Row<NodePlace> {
  return {
    ...row,
    measure: async (place, bench) => {
      const skipped = whyNoNode();
      return skipped === undefined ? row.measure(place, bench) : { entries: [], skipped };
    },
  };
}
