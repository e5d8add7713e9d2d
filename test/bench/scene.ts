/** What a row of the bench works with, and how its work is measured out. */
import type { AimId } from './aims.ts';
import type { BenchUser } from './client.ts';
import type { Figure, Meter } from './meter.ts';

/** What a row works with. */
export type Scene = {
  readonly meter: Meter;
  /** How much of the full work is done, up to 1. */
  readonly scale: number;
  /** New users that nobody else has. */
  newUsers(count: number): Promise<BenchUser[]>;
  /** Bytes of the server's data; null where they cannot be seen. */
  diskBytes(): Promise<number | null>;
  /** Keeps a result. */
  note(id: AimId, value: Figure | number): void;
};

export type Row = { readonly name: string; run(scene: Scene): Promise<void> };

/** Runs all jobs, some at a time: scenes are set faster so. */
export async function inParallel<T>(
  jobs: readonly T[],
  width: number,
  work: (job: T) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < jobs.length) await work(jobs[next++]!);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/** The numbers from 0 up to a count. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** As many operations as the scale of the run asks for. */
export const scaled = (count: number, { scale }: Scene): number => Math.max(10, Math.round(count * scale));
/** How long the work may take at most. */
export const limitMs = (seconds: number, { scale }: Scene): number => 1000 * Math.max(1.5, seconds * scale);
