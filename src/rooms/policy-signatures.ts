/** What the engine needs of policy servers: their signatures on what local users say. Who asks them is wired in. */
import type { Pdu } from '../core/pdu.ts';
import type { Draft } from './append.ts';
import type { LiveRoom } from './live-room.ts';

export type PolicySignatures = {
  /** Whether an event of a room must be shown to a policy server before it goes out. */
  isNeeded(live: LiveRoom, event: Pick<Draft, 'type' | 'stateKey'>): Promise<boolean>;
  /** The event with the signature of the room's policy server. Throws MatrixError where that does not sign it. */
  sign(live: LiveRoom, pdu: Pdu): Promise<Pdu>;
};
