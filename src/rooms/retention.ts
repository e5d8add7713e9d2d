/**
 * For how long messages are kept in a room (MSC1763): what the room says, where it says nothing what the configuration
 * does, within what the configuration allows. State stays.
 */
import type { Config } from '../config/config.ts';
import type { Clock } from '../kit/clock.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { StoredEvent } from './stored-event.ts';

const RETENTION_TYPE = 'm.room.retention';

export type RetentionDeps = {
  readonly events: EventStore;
  readonly clock: Clock;
  readonly config: Config['retention'];
};

/** Whether an event's time is over, given since when messages are kept. By the clock of its sender's server. */
export const isExpired = ({ isState, pdu }: StoredEvent, oldestMs: number | null): boolean =>
  oldestMs !== null && !isState && pdu.originServerTs < oldestMs;

export class Retention {
  readonly #deps: RetentionDeps;

  constructor(deps: RetentionDeps) {
    this.#deps = deps;
  }

  /** How old messages of a room may become; null: as old as they like. */
  async lifetimeMaxMs(live: LiveRoom): Promise<number | null> {
    const { events, config } = this.#deps;
    if (!config.isEnabled) return null;
    const policyNo = live.currentNo(RETENTION_TYPE, '');
    const event = policyNo === null ? null : await events.get(policyNo);
    // Nothing of a policy outlives its redaction.
    const policy = event === null || event.isRedacted ? null : event.pdu.content['max_lifetime'];
    const wanted = isLifetime(policy) ? policy : config.defaultLifetimeMaxMs;
    if (wanted === null) return null;
    const least = Math.max(wanted, config.allowedLifetimeMinMs ?? 0);
    return Math.min(least, config.allowedLifetimeMaxMs ?? least);
  }

  /** Messages of a room from before this time are not shown any more, and deleted some time; null: all are kept. */
  async oldestMs(live: LiveRoom): Promise<number | null> {
    const lifetimeMs = await this.lifetimeMaxMs(live);
    return lifetimeMs === null ? null : this.#deps.clock.now() - lifetimeMs;
  }
}

const isLifetime = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
