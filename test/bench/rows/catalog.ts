import type { RowHead, Stage } from "../bench.ts";
import { agentStage } from "./agent-memory.ts";
import { clusterStage } from "./clusters.ts";
import { copyStage } from "./copies.ts";
import { deltaStage } from "./deltas.ts";
import { memoryStage } from "./memory.ts";
import { nodeStage } from "./nodes.ts";
import { pullStage } from "./pulls.ts";
import { pushStage } from "./pushes.ts";
import { registryStage } from "./registries.ts";
import { requestStage } from "./requests.ts";
import { startStage } from "./startup.ts";

/** All stages, in the order they run. */
export const stages: readonly Stage[] = [
  pullStage("shards"),
  pullStage("one-file"),
  pushStage("shards"),
  pushStage("one-file"),
  deltaStage,
  registryStage,
  copyStage,
  nodeStage,
  clusterStage,
  memoryStage,
  agentStage,
  requestStage,
  startStage,
];

/** All rows, in the order they run. */
export const rows: readonly RowHead[] = stages.flatMap((stage) => stage.rows);
