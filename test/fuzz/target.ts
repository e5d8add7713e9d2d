/** What a fuzz target is, and where they are found. */
import { readdirSync } from 'node:fs';
import { type Random, seededRandom } from '../../src/kit/random.ts';

/** One door that hostile input comes in by. Files in `targets/` export one each, under the name `target`. */
export interface FuzzTarget {
  /** The name for `--only`; that of its file. */
  readonly name: string;
  /** Makes one input and tries it. Throws when something happened that must never happen. */
  tryOne(random: Random): void;
}

/** All targets, by name. */
export async function listTargets(): Promise<FuzzTarget[]> {
  const files = readdirSync(new URL('./targets/', import.meta.url)).filter((file) => file.endsWith('.ts'));
  const targets: FuzzTarget[] = [];
  for (const file of files.sort()) {
    // What the folder promises: see FuzzTarget.
    const module = (await import(new URL(`./targets/${file}`, import.meta.url).href)) as { target: FuzzTarget };
    targets.push(module.target);
  }
  return targets;
}

/** A finding, with the seed that makes it happen again. */
class Finding extends Error {
  constructor(target: FuzzTarget, seed: number, cause: unknown) {
    const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    super(`${target.name}: found with --only ${target.name} --seed ${seed} --count 1\n${text}`);
    this.name = 'Finding';
  }
}

/** Tries a target once for a seed. */
export function tryTarget(target: FuzzTarget, seed: number): void {
  try {
    target.tryOne(seededRandom(seed));
  } catch (error) {
    throw new Finding(target, seed, error);
  }
}
