/** The library: what the command line calls, for programs. */
export { type ErrorCode, isModelError, ModelError } from "./core/errors.ts";
export type { NetworkGuard } from "./core/network/network-guard.ts";
export type { ProgressEvent, ProgressListener } from "./core/progress.ts";
export {
  type CheckRegistryOptions,
  type CheckRegistryResult,
  checkRegistry,
} from "./model/check-registry.ts";
export type { ConnectionOptions, RequestCounts } from "./model/connection.ts";
export {
  type CopiedManifest,
  type CopyOptions,
  type CopyResult,
  copy,
} from "./model/copy.ts";
export { type DiffOptions, type DiffResult, diff } from "./model/diff.ts";
export { type InspectOptions, type InspectResult, inspect } from "./model/inspect.ts";
export {
  type LoginOptions,
  type LoginResult,
  type LogoutOptions,
  type LogoutResult,
  login,
  logout,
} from "./model/login.ts";
export { type PullOptions, type PullResult, pull } from "./model/pull.ts";
export { type PushOptions, type PushResult, push } from "./model/push.ts";
export {
  type RemovalPlan,
  type RemovalResult,
  type RemoveOptions,
  removeFromRepository,
} from "./model/remove.ts";
export {
  collectGarbage,
  listModels,
  pinModel,
  removeModel,
  type StoredModel,
  verifyStore,
} from "./model/stored-models.ts";
export { type TagOptions, type TagResult, tag } from "./model/tag.ts";
export { type ListTagsOptions, listTags, type TagList } from "./model/tags.ts";
export { type VerifyOptions, verify } from "./model/verify.ts";
export type { VerifyProblem, VerifyResult } from "./model/verify-report.ts";
