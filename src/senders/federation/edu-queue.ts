/** EDUs that wait for one server: bounded, a newer one in place of an older one that it outdates. */
import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json-value.ts';

/** An EDU as it travels. */
export type Edu = { readonly edu_type: string; readonly content: JsonObject };

/** An EDU with its size, taken once for all servers that it goes to. */
export type SizedEdu = { readonly edu: Edu; readonly bytes: number };

/** How many wait at most for one server; the oldest make place. */
const WAITING_MAX = 500;
/** A larger one would be turned away, and what is with it (threat C13). */
const EDU_BYTES_MAX = 65_536;
/** How many users one `m.presence` EDU tells of. */
const PRESENCE_MAX = 50;

export type TakenEdus = {
  /** As they travel: receipts and presence put together. */
  readonly edus: Edu[];
  /** As they waited, for `putBack`. */
  readonly taken: ReadonlyMap<string, SizedEdu>;
};

/** null for one that is too large to be sent. */
export function sizedEdu(edu: Edu): SizedEdu | null {
  const bytes = Buffer.byteLength(JSON.stringify(edu));
  return bytes > EDU_BYTES_MAX ? null : { edu, bytes };
}

export class EduQueue {
  readonly #waiting = new Map<string, SizedEdu>();
  #last = 0;

  get size(): number {
    return this.#waiting.size;
  }

  /** Adds one in place of an older one of the same key. Gives how many were dropped to make place. */
  add(sized: SizedEdu, key?: string): number {
    const name = key === undefined ? `${++this.#last}` : `${sized.edu.edu_type}\0${key}`;
    this.#waiting.delete(name);
    this.#waiting.set(name, sized);
    return this.#shrink();
  }

  #shrink(): number {
    let dropped = 0;
    for (const name of this.#waiting.keys()) {
      if (this.#waiting.size <= WAITING_MAX) break;
      this.#waiting.delete(name);
      dropped++;
    }
    return dropped;
  }

  /** Takes those that have waited longest, as many as fit. */
  take(countMax: number, bytesMax: number): TakenEdus {
    const taken = new Map<string, SizedEdu>();
    const packer = new EduPacker();
    let bytes = 0;
    for (const [name, sized] of this.#waiting) {
      const { edu } = sized;
      if (bytes + sized.bytes > bytesMax || (packer.count >= countMax && !packer.hasPlaceFor(edu))) break;
      packer.add(edu);
      bytes += sized.bytes;
      taken.set(name, sized);
      this.#waiting.delete(name);
    }
    return { edus: packer.edus(), taken };
  }

  /** Those of a transaction that did not arrive wait again, unless newer ones have come. */
  putBack(taken: ReadonlyMap<string, SizedEdu>): number {
    const newer = [...this.#waiting];
    this.#waiting.clear();
    for (const [name, sized] of taken) this.#waiting.set(name, sized);
    for (const [name, sized] of newer) {
      this.#waiting.delete(name);
      this.#waiting.set(name, sized);
    }
    return this.#shrink();
  }

  /** Drops all; gives how many. */
  clear(): number {
    const { size } = this.#waiting;
    this.#waiting.clear();
    return size;
  }
}

type Packed = { readonly edu_type: string; content: JsonObject; entries: number };

/** Puts receipts of many users and rooms into one EDU, and presence of many users; others go as they are. */
class EduPacker {
  readonly #packed: Packed[] = [];
  readonly #receipts: Packed[] = [];
  /** How many receipts of a user in a room there are: each must be in an EDU of its own. */
  readonly #receiptsOf = new Map<string, number>();
  #presence: Packed | null = null;

  get count(): number {
    return this.#packed.length;
  }

  /** Whether one more takes no further EDU. */
  hasPlaceFor(edu: Edu): boolean {
    if (edu.edu_type === 'm.presence') return this.#presence !== null && this.#presence.entries < PRESENCE_MAX;
    const receipt = receiptIn(edu);
    return receipt !== null && (this.#receiptsOf.get(keyOf(receipt)) ?? 0) < this.#receipts.length;
  }

  add(edu: Edu): void {
    const receipt = receiptIn(edu);
    if (receipt !== null) this.#addReceipt(receipt);
    else if (edu.edu_type === 'm.presence') this.#addPresence(edu.content);
    else this.#open(edu.edu_type, edu.content);
  }

  #open(eduType: string, content: JsonObject): Packed {
    const packed = { edu_type: eduType, content, entries: 0 };
    this.#packed.push(packed);
    return packed;
  }

  #addReceipt(receipt: Receipt): void {
    const { roomId, userId, data } = receipt;
    const index = this.#receiptsOf.get(keyOf(receipt)) ?? 0;
    this.#receiptsOf.set(keyOf(receipt), index + 1);
    if (this.#receipts.length === index) this.#receipts.push(this.#open('m.receipt', {}));
    const packed = this.#receipts[index]!;
    const room = packed.content[roomId];
    const read = isJsonObject(room) && isJsonObject(room['m.read']) ? room['m.read'] : {};
    packed.content = { ...packed.content, [roomId]: { 'm.read': { ...read, [userId]: data } } };
  }

  #addPresence(content: JsonObject): void {
    const push = Array.isArray(content['push']) ? (content['push'] as readonly JsonValue[]) : [];
    if (this.#presence === null || this.#presence.entries >= PRESENCE_MAX) {
      this.#presence = this.#open('m.presence', { push: [] });
    }
    const before = this.#presence.content['push'] as readonly JsonValue[];
    this.#presence.content = { push: [...before, ...push] };
    this.#presence.entries += push.length;
  }

  edus(): Edu[] {
    return this.#packed.map(({ edu_type, content }) => ({ edu_type, content }));
  }
}

type Receipt = { readonly roomId: string; readonly userId: string; readonly data: JsonValue };

const keyOf = ({ roomId, userId }: Receipt): string => `${roomId}\0${userId}`;

/** The one receipt that an EDU of ours tells of. */
function receiptIn({ edu_type, content }: Edu): Receipt | null {
  if (edu_type !== 'm.receipt') return null;
  const [[roomId, room] = []] = Object.entries(content);
  if (roomId === undefined || !isJsonObject(room) || !isJsonObject(room['m.read'])) return null;
  const [[userId, data] = []] = Object.entries(room['m.read']);
  return userId === undefined || data === undefined ? null : { roomId, userId, data };
}
