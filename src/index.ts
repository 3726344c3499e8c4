/** The library: what the command line calls, for programs. */
export { type ErrorCode, isModelError, ModelError } from "./core/errors.ts";
export type { NetworkGuard } from "./core/network/network-guard.ts";
export type { ProgressEvent, ProgressListener } from "./core/progress.ts";
export type { ConnectionOptions, RequestCounts } from "./model/connection.ts";
export { type DiffOptions, type DiffResult, diff } from "./model/diff.ts";
export { type InspectOptions, type InspectResult, inspect } from "./model/inspect.ts";
export { type PullOptions, type PullResult, pull } from "./model/pull.ts";
export { type PushOptions, type PushResult, push } from "./model/push.ts";
export {
  collectGarbage,
  listModels,
  pinModel,
  removeModel,
  type StoredModel,
  verifyStore,
} from "./model/stored-models.ts";
export { type VerifyOptions, verify } from "./model/verify.ts";
export type { VerifyProblem, VerifyResult } from "./model/verify-report.ts";
