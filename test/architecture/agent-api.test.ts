import { describe, expect, test } from "vitest";
import * as documents from "../../src/agent/api/documents.ts";
import { eventNames } from "../../src/agent/api/routes.ts";
import { createAgentRoutes, type RouteMeans } from "../../src/agent/server/agent-routes.ts";
import { codesIn, findTable, firstCodes, readTables } from "./document-tables.ts";
import { schemaKeys } from "./schema-keys.ts";
import { readDocument } from "./tree.ts";

const document = await readDocument("docs/agent-api.md");

/** Their answers are not asked for here. */
const routes = createAgentRoutes(Object.create(null) as RouteMeans);

const described = [
  ["AcquireRequest", documents.acquireSchema],
  ["MountedVolume", documents.mountedSchema],
  ["PrefetchRequest", documents.prefetchSchema],
  ["PinRequest", documents.pinSchema],
  ["RemovalRequest", documents.removalSchema],
  ["CollectionRequest", documents.collectionSchema],
  ["WithdrawalRequest", documents.withdrawalSchema],
  ["FreedDocument", documents.freedSchema],
  ["LeaseDocument", documents.leaseSchema],
  ["ModelProgress", documents.progressSchema],
  ["ReadyModel", documents.readySchema],
  ["ErrorDocument", documents.errorSchema],
  ["StatusDocument", documents.statusSchema],
] as const;

describe("docs/agent-api.md", () => {
  test("has a row for every route, with the sockets it is for", () => {
    const { rows } = findTable(document, "method", "path", "sockets", "for");
    const told = rows.map(([method, path = "", sockets]) => [method, codesIn(path)[0], sockets]);
    expect(told).toEqual(routes.map((each) => [each.method, each.path, each.for.join(", ")]));
  });

  test("has a section for every route", () => {
    const headings = [...document.matchAll(/^### ([A-Z]+ \/\S*)$/gm)].map(([, heading]) => heading);
    expect(headings).toEqual(routes.map(({ method, path }) => `${method} ${path}`));
  });

  test("has a row for every event", () => {
    expect(firstCodes(findTable(document, "event", "content"))).toEqual([...eventNames]);
  });

  test.each(described)("has a row for every field of %s", (name, schema) => {
    const { rows } = findTable(document, name);
    // An object's own row comes before those of its fields.
    const leaves = rows.filter(([, type = ""]) => !type.startsWith("object"));
    const told = leaves.flatMap(([field = ""]) => codesIn(field));
    const opaque = [documents.progressSchema, documents.errorSchema].filter(
      (each) => each !== schema,
    );
    expect(told.toSorted()).toEqual(schemaKeys(schema, opaque));
  });

  test("describes no document that is not there", () => {
    const named = readTables(document).flatMap(({ header: [name = ""] }) =>
      /^[A-Z]\w+$/.test(name) ? [name] : [],
    );
    expect(named.toSorted()).toEqual(described.map(([name]) => name).toSorted());
  });

  test("says of requests what the agent requires", () => {
    const required = (name: string) =>
      findTable(document, name).rows.flatMap(([field = "", type = ""]) =>
        type.endsWith("optional") || field.includes(".") ? [] : codesIn(field),
      );
    expect(required("AcquireRequest")).toEqual(["id", "reference", "target"]);
    expect(required("PrefetchRequest")).toEqual(["reference"]);
    expect(required("PinRequest")).toEqual(["model", "pinned"]);
  });
});
