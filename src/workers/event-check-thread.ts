/** Checks events in a thread of its own. Started by `event-check-threads.ts`. */
import { parentPort } from 'node:worker_threads';
import { checkEvent, type EventVerdict } from '../core/event-check.ts';
import { parseJson } from '../core/json.ts';
import { findRoomRules } from '../core/room-versions.ts';
import type { EventCheckReply, EventCheckRequest, EventToCheck } from './event-check-protocol.ts';

/** As deep as whoever read the request let it be. */
const DEPTH_MAX = 1000;

const port = parentPort!;
port.on('message', ({ number, version, events }: EventCheckRequest) => {
  const rules = findRoomRules(version)!;
  const check = ([text, keys]: EventToCheck): EventVerdict =>
    checkEvent(rules, parseJson(text, { keepNumberText: true, depthMax: DEPTH_MAX }), keys);
  port.postMessage({ number, verdicts: events.map(check) } satisfies EventCheckReply);
});
