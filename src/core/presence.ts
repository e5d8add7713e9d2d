/**
 * Presence: what a user is, put together from what the user's devices said and when.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#presence
 */

/** Busy (MSC3026) is only ever set by hand, and travels under the name of its proposal. */
export const PRESENCE_STATES = ['online', 'unavailable', 'offline', 'org.matrix.msc3026.busy'] as const;
export type PresenceState = (typeof PRESENCE_STATES)[number];

export const BUSY: PresenceState = 'org.matrix.msc3026.busy';

/** A device that syncs, or did a moment ago. */
export type PresentDevice = {
  /** What it last said of itself. */
  said: PresenceState;
  /** When its user last did something on it. */
  lastActiveMs: number;
  /** When it last synced or did something. */
  lastSeenMs: number;
  /** Syncs of it that wait for news now. */
  syncs: number;
};

export type PresenceTimers = {
  /** Below this since the last activity a user is currently active. */
  readonly activeMs: number;
  /** Without activity for this long a device counts as idle. */
  readonly idleMs: number;
  /** A device that did not sync for this long is gone. */
  readonly offlineMs: number;
};

/** Busy outlives an app that the phone put to sleep. */
const BUSY_OFFLINE_MS = 3_600_000;

export type UserPresence = {
  readonly presence: PresenceState;
  readonly isCurrentlyActive: boolean;
  /** When time alone will change it next; null for never. */
  readonly changesAtMs: number | null;
};

const RANKS: readonly PresenceState[] = ['offline', 'unavailable', 'online', BUSY];
const rank = (presence: PresenceState): number => RANKS.indexOf(presence);

/** When a device that does not sync counts as gone. */
export function goneAtMs(device: PresentDevice, timers: PresenceTimers): number {
  if (device.syncs > 0) return Number.POSITIVE_INFINITY;
  return device.lastSeenMs + (device.said === BUSY ? Math.max(BUSY_OFFLINE_MS, timers.offlineMs) : timers.offlineMs);
}

/** What a user is, by the most present of their devices: busy, online, unavailable, offline. */
export function combineDevices(devices: Iterable<PresentDevice>, nowMs: number, timers: PresenceTimers): UserPresence {
  let presence: PresenceState = 'offline';
  let lastActiveMs = 0;
  let changesAtMs = Number.POSITIVE_INFINITY;
  for (const device of devices) {
    const goneMs = goneAtMs(device, timers);
    if (device.said === 'offline' || goneMs <= nowMs) continue;
    changesAtMs = Math.min(changesAtMs, goneMs);
    const idleMs = device.lastActiveMs + timers.idleMs;
    const isIdle = device.said === 'online' && idleMs <= nowMs;
    if (device.said === 'online' && !isIdle) changesAtMs = Math.min(changesAtMs, idleMs);
    const state = isIdle ? 'unavailable' : device.said;
    if (rank(state) > rank(presence)) presence = state;
    lastActiveMs = Math.max(lastActiveMs, device.lastActiveMs);
  }
  const passiveMs = lastActiveMs + timers.activeMs;
  const isCurrentlyActive = rank(presence) >= rank('online') && passiveMs > nowMs;
  if (isCurrentlyActive) changesAtMs = Math.min(changesAtMs, passiveMs);
  return { presence, isCurrentlyActive, changesAtMs: Number.isFinite(changesAtMs) ? changesAtMs : null };
}
