import { ModelError } from "../../core/errors.ts";

const variablePattern = /\$\{((?:[^}']|'[^']*')*)\}/g;
const annotationPattern = /^pvc\.annotations\['([^']+)'\]$/;

/** What a template may name. */
export interface TemplateValues {
  /** By name, such as `pvc.namespace`. */
  readonly variables: Readonly<Record<string, string>>;
  /** Of `${pvc.annotations['KEY']}`; absent where the template may not use them. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/**
 * Fills `${...}` in a parameter of a StorageClass, in the words of external-provisioner. Throws
 * INVALID_ARGUMENT, which names `parameter` and what there is, for anything that has no value.
 */
export function fillTemplate(parameter: string, template: string, values: TemplateValues): string {
  const filled = template.replace(variablePattern, (_, name: string) =>
    valueOf(parameter, name, values),
  );
  if (template.replace(variablePattern, "").includes("${"))
    throw new ModelError("INVALID_ARGUMENT", `${parameter} has a \${ without its }`);
  return filled;
}

function valueOf(
  parameter: string,
  name: string,
  { variables, annotations }: TemplateValues,
): string {
  if (Object.hasOwn(variables, name)) return variables[name] ?? "";
  const [, key] = annotationPattern.exec(name) ?? [];
  if (key === undefined || annotations === undefined) {
    const known = Object.keys(variables).map((each) => `\${${each}}`);
    if (annotations !== undefined) known.push("${pvc.annotations['KEY']}");
    throw new ModelError("INVALID_ARGUMENT", `${parameter} cannot have \${${name}}`, {
      hint: known.length === 0 ? "it must be plain text" : `there is ${known.join(", ")}`,
    });
  }
  if (Object.hasOwn(annotations, key)) return annotations[key] ?? "";
  throw new ModelError("INVALID_ARGUMENT", `the claim has no annotation ${key}`, {
    hint: `${parameter} of its StorageClass is made of it`,
  });
}
