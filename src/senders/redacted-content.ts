/**
 * A timed job: what redacted events said is deleted from the disk when the time for which it is kept is over. Until then
 * admins can look into it; nobody else ever could.
 */
import { canonicalJson, parseJson } from '../core/json.ts';
import { isJsonObject } from '../core/json-value.ts';
import { redact } from '../core/redaction.ts';
import type { Clock } from '../kit/clock.ts';
import { every } from '../kit/every.ts';
import type { Log } from '../kit/log.ts';
import { nextTurn } from '../kit/next-turn.ts';
import { type EventStore, rulesOf } from '../rooms/event-store.ts';
import type { Database } from '../storage/database.ts';
import { listUnpruned, pruneEvent, type UnprunedRow } from '../storage/event-deletion.ts';
import { findEventsByNumber } from '../storage/events.ts';

export type RedactedContentDeps = {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventStore;
  /** For how long content outlives its redaction; null: for ever. */
  readonly keptMs: number | null;
};

const PERIOD_MS = 5 * 60_000;
const PAGE = 100;
/** A redaction that says it comes from the future is as good as one of now. */
const FUTURE_MS = 3_600_000;

export class RedactedContent {
  readonly #deps: RedactedContentDeps;
  readonly #stop: () => void;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(deps: RedactedContentDeps) {
    this.#deps = deps;
    const { clock, log, keptMs } = deps;
    const prune = (): Promise<void> => {
      const run = this.#prune(keptMs ?? 0);
      this.#running = run.catch(() => {});
      return run;
    };
    this.#stop =
      keptMs === null
        ? () => {}
        : every(clock, PERIOD_MS, prune, (error) =>
            log.error('What redacted events said could not be deleted.', { error }),
          );
  }

  /** Ends the job when the page that it is at is done. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stop();
    await this.#running;
  }

  async #prune(keptMs: number): Promise<void> {
    const { db, events, clock } = this.#deps;
    for (let after = 0; !this.#isStopped; ) {
      const rows = await listUnpruned(db, after, PAGE);
      const redactions = await findEventsByNumber(
        db,
        rows.map(({ redactedByNo }) => redactedByNo),
      );
      const sentMs = new Map(redactions.map(({ eventNo, json }) => [eventNo, sentMsOf(json)]));
      const nowMs = clock.now();
      const isDue = ({ redactedByNo }: UnprunedRow): boolean => {
        const ms = sentMs.get(redactedByNo) ?? 0;
        return ms <= nowMs - keptMs || ms > nowMs + FUTURE_MS;
      };
      const due = rows.filter(isDue);
      const statements = [];
      for (const row of due) {
        const rules = rulesOf(await events.room(row.roomNo));
        const json = parseJson(row.json, { keepNumberText: !rules.enforcesCanonicalJson });
        if (!isJsonObject(json))
          throw new Error(`The event ${row.eventId} is stored as something else than an object.`);
        statements.push(pruneEvent(row.eventNo, canonicalJson(redact(rules, json), { strict: false })));
      }
      if (statements.length > 0) await db.commit(statements);
      events.drop(due.map(({ eventNo }) => eventNo));
      // They come about in the order in which redactions came: behind a page of young ones are younger ones.
      if (rows.length < PAGE || due.length === 0) return;
      after = rows.at(-1)!.redactedByNo;
      await nextTurn();
    }
  }
}

function sentMsOf(json: string): number {
  // Only objects are stored as events.
  const { origin_server_ts: sentMs } = JSON.parse(json) as { origin_server_ts?: unknown };
  return typeof sentMs === 'number' ? sentMs : 0;
}
