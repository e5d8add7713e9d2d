/** Finds the keys of a file that no section reads, and says of each what became of it. */
import { type Given, type GivenMap, problem } from './given.ts';
import { yamlNames } from './key.ts';
import { findAt, type ReadContext, suggest } from './kinds.ts';
import { KEYS_NOT_APPLICABLE, KEYS_WITHOUT_EFFECT, REMOVED_KEYS, WORKER_KEYS } from './other-keys.ts';
import { sections } from './sections.ts';

/** Every YAML name that some section reads. */
export const KNOWN_KEYS: ReadonlySet<string> = new Set(Object.values(sections).flatMap((one) => yamlNames(one)));

/** The names above dotted ones: `presence` of `presence.enabled`. */
const HOLDERS: ReadonlySet<string> = new Set(
  [...KNOWN_KEYS, ...Object.keys(KEYS_WITHOUT_EFFECT)].flatMap((name) => {
    const parts = name.split('.');
    return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('.'));
  }),
);

/**
 * Warns once of each key without effect and of each unknown one, with the nearest known name.
 *
 * @returns a line for each key of a mechanism that we do not have
 * @throws ConfigError where a key was removed for a reason
 */
export function reportStrangers(root: GivenMap, context: ReadContext): string[] {
  for (const [name, reason] of Object.entries(REMOVED_KEYS)) {
    const given = findAt(root, name);
    if (given !== undefined) throw problem(given.place, reason);
  }
  const notes: string[] = [];
  const workerFiles = new Set<string>();
  const visit = (given: Given, name: string): void => {
    if (KNOWN_KEYS.has(name)) return;
    if (WORKER_KEYS.includes(name)) {
      workerFiles.add(given.place.file);
    } else if (KEYS_NOT_APPLICABLE.includes(name)) {
      notes.push(
        `${given.place.file}:${given.place.line}: ${name} is about a mechanism that Myelin does not have; ignored.`,
      );
    } else if (HOLDERS.has(name)) {
      if (given.kind === 'map') for (const [inner, value] of given.entries) visit(value, `${name}.${inner}`);
    } else if (KEYS_WITHOUT_EFFECT[name] !== undefined) {
      if (!isOff(given)) context.warn(given.place, `has no effect: ${KEYS_WITHOUT_EFFECT[name]}${modulesOf(given)}`);
    } else {
      const known = [...KNOWN_KEYS, ...HOLDERS, ...Object.keys(KEYS_WITHOUT_EFFECT)];
      context.warn(given.place, `unknown key, ignored${suggest(name, known)}`);
    }
  };
  for (const [name, given] of root.entries) visit(given, name);
  for (const file of workerFiles) {
    notes.push(`${file}: this file is for a worker process; one process does all the work here, it can be left out.`);
  }
  return notes;
}

/** Whether a key without effect asks for nothing anyway. */
function isOff(given: Given): boolean {
  if (given.kind === 'scalar')
    return given.value === null || given.value === false || given.value === 0 || given.value === '';
  if (given.kind === 'list') return given.items.length === 0;
  const enabled = given.entries.get('enabled');
  return given.entries.size === 0 || (enabled?.kind === 'scalar' && enabled.value === false);
}

/** The Python modules that a key names. */
function modulesOf(given: Given): string {
  const maps = given.kind === 'list' ? given.items : [given];
  const names = maps.flatMap((one) => {
    const module = one.kind === 'map' ? one.entries.get('module') : undefined;
    return module?.kind === 'scalar' ? [module.source] : [];
  });
  return names.length === 0 ? '' : ` (${names.join(', ')})`;
}
