/**
 * What push, pull, verify and copy report while they work. Counts are bytes; `path` is a file of the
 * model, of a copy a blob's digest.
 * The sum of all `bytes` events of a file reaches its size when the file is done.
 */
export type ProgressEvent =
  | {
      readonly type: "start";
      readonly activity: "push" | "pull" | "verify" | "copy";
      readonly totalBytes: number;
      readonly files: number;
    }
  | {
      readonly type: "bytes";
      readonly path: string;
      readonly fileSize: number;
      readonly bytes: number;
      /** `moved` over the network, `reused` without moving, or `checked` where the verb only reads. */
      readonly how: "moved" | "reused" | "checked";
    }
  /** A sentence for the user about something surprising that is not a failure. */
  | { readonly type: "warning"; readonly message: string }
  /** A sentence about a decision taken, such as which base was chosen. */
  | { readonly type: "notice"; readonly message: string };

export type ProgressListener = (event: ProgressEvent) => void;

/** What every call that waits takes. */
export interface Abortable {
  /** Aborting it stops the call cleanly; what was verified stays for the next run. */
  readonly signal?: AbortSignal | undefined;
}

/** What every long-running call takes. */
export interface RunOptions extends Abortable {
  readonly onProgress?: ProgressListener | undefined;
}
