import { describe } from "vitest";
import type { Certificates } from "../../support/certificates.ts";
import type { Stage, StageOptions } from "./stage.ts";

type Open = (options?: StageOptions) => Promise<Stage>;

/** What the parts of the suite share. */
export interface HttpRangeSuite {
  /** For more certificates. */
  readonly folder: string;
  readonly certificates: Certificates;
  /** A server that speaks plain HTTP, and a reader of it. */
  readonly open: Open;
  /** The same over TLS. */
  readonly openSecured: Open;
}

/** The same tests over plain HTTP and over TLS. */
export function overBoth(
  { open, openSecured }: HttpRangeSuite,
  title: string,
  tests: (open: Open) => void,
): void {
  describe(`${title}, over plain HTTP`, () => {
    tests(open);
  });
  describe(`${title}, over TLS`, () => {
    tests(openSecured);
  });
}
