import { isBuiltin } from "node:module";
import { posix } from "node:path";
import { doors, edges, packages, parts, strangers } from "./import-rules.ts";
import { codeOnly, findImports, type Import } from "./source-text.ts";

const surroundings =
  /\bconsole\s*[.[]|\bprocess\s*(?:\.\s*|\[\s*"?)(?:env|argv|exit|exitCode|stdin|stdout|stderr)\b|\bprocess\s*\["|\{[^}]*\b(?:env|argv|exit|stdin|stdout|stderr)\b[^}]*\}\s*(?:=\s*process\b|from\s*"")/;

/** Checks source files (path in the repository to text); returns one sentence per violation. */
export function checkImports(files: ReadonlyMap<string, string>): string[] {
  return [...files].flatMap(([path, source]) => [
    ...checkPart(path),
    ...findImports(source).flatMap((found) => checkImport(path, found)),
    ...checkSurroundings(path, source),
  ]);
}

function checkPart(path: string): string[] {
  return partOf(path) in parts ? [] : [`${path}: no such part "${partOf(path)}"`];
}

function checkImport(path: string, { module, typeOnly }: Import): string[] {
  if (module === undefined) return [`${path}: imports a computed module, which cannot be checked`];
  if (!module.startsWith(".")) return checkPackage(path, module, typeOnly);
  const target = posix.join(posix.dirname(path), module);
  return checkDirection(path, target);
}

function checkDirection(path: string, target: string): string[] {
  const [from, to] = [partOf(path), partOf(target)];
  if (from === to) return checkStrangers(path, target);
  if (!(parts[from]?.uses.includes(to) ?? false))
    return [`${path}: ${from} may not import ${to} (${target})`];
  const door = doors.find(({ of, from: users }) => of === to && users.includes(from));
  if (door === undefined || door.only.test(target)) return [];
  return [`${path}: may not import ${target}: ${door.because}`];
}

function checkStrangers(path: string, target: string): string[] {
  const meet = strangers.some(([a, b]) =>
    path.startsWith(a) ? target.startsWith(b) : path.startsWith(b) && target.startsWith(a),
  );
  return meet ? [`${path}: may not import ${target}: these folders do not know each other`] : [];
}

function checkPackage(path: string, module: string, typeOnly: boolean): string[] {
  if (module.startsWith("node:")) return [];
  if (isBuiltin(module)) return [`${path}: write node:${module}`];
  const name = module.split("/", module.startsWith("@") ? 2 : 1).join("/");
  const rule = packages[name];
  if (rule === undefined) return [`${path}: package ${name} is not in the table`];
  if (typeOnly || rule.from.some((folder) => path.startsWith(folder))) return [];
  return [`${path}: may not load ${name}: ${rule.because}`];
}

function checkSurroundings(path: string, source: string): string[] {
  if (edges.some((folder) => path.startsWith(folder))) return [];
  const found = surroundings.exec(codeOnly(source))?.[0];
  return found === undefined ? [] : [`${path}: ${found} belongs to ${edges.join(" and ")}`];
}

/** `src/oci/layout.ts` -> `oci`, `src/index.ts` -> `index`, `csi/node.ts` -> `csi`; else the path. */
function partOf(path: string): string {
  const [top, next] = path.split("/");
  if (top === "csi") return "csi";
  if (top !== "src" || next === undefined) return path;
  return next.replace(/\.ts$/, "");
}
