import type { FileStamp } from "./file-stamp.ts";

/** One file to pack. */
export interface SourceFile {
  /** Its path in the model: relative, `/`-separated, NFC. */
  readonly path: string;
  readonly size: number;
  /** The absolute local path to open; behind links, so that it names the bytes themselves. */
  readonly location: string;
  /** As it was when listed; other stamps later mean that the file changed. */
  readonly stamp: FileStamp;
}

/** Where the files of one model come from. Nothing is open: the files are read later, by location. */
export interface Source {
  /** What to call it in messages. */
  readonly name: string;
  /** At least one, sorted by path bytes. */
  readonly files: readonly SourceFile[];
  /** Sentences for the user about what is surprising but allowed. */
  readonly warnings: readonly string[];
  /** Known when the source is a Hugging Face cache folder. */
  readonly origin?: Origin | undefined;
}

/** The repository on a hub that a source is a copy of. */
export interface Origin {
  /** Such as `org/name`. */
  readonly huggingFaceId?: string | undefined;
  /** A commit. */
  readonly revision?: string | undefined;
}
