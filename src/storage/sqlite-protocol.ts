/** What the main thread and SQLite's writer thread say to each other. */
import type { SqlValue } from './sql.ts';

/** A statement on its way to the writer: the number of its text, and its values. */
export type WireStatement = readonly [textNumber: number, values: readonly SqlValue[]];

export type WriterRequest =
  /** A text that later statements name by its number. */
  | { kind: 'text'; textNumber: number; text: string }
  /** Several prepared batches to commit as one transaction. */
  | { kind: 'group'; batches: readonly (readonly WireStatement[])[] }
  | { kind: 'begin' }
  | { kind: 'all' | 'run'; statement: WireStatement }
  | { kind: 'end'; commit: boolean }
  | { kind: 'script'; text: string }
  | { kind: 'close' };

/** An error that crossed the thread border: its code is SQLite's. */
export type WireError = { message: string; code: string };

export type WriterReply =
  | { kind: 'done'; value: unknown }
  /** One answer a batch: null where it was committed. */
  | { kind: 'group'; errors: readonly (WireError | null)[] | null }
  | { kind: 'failed'; error: WireError };

export type WriterOptions = {
  readonly path: string;
  readonly synchronous: 'full' | 'off';
};
