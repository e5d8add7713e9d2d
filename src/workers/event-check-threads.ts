/** Threads that check events: started when there is something to check, ended when nobody has needed them for a while. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { EventVerdict } from '../core/event-check.ts';
import type { RoomVersion } from '../core/room-versions.ts';
import type { EventCheckReply, EventCheckRequest, EventToCheck } from './event-check-protocol.ts';

export type EventCheckThreadsDeps = {
  /** Calls once after some time, unless it is cancelled: a `Clock`. */
  readonly clock: { after(delayMs: number, call: () => void): { cancel(): void } };
  /** One less than there are cores where left out, and four at most. */
  readonly threadsMax?: number;
};

/** Each thread takes about 10 MB of memory. */
const THREADS_MAX = 4;
const IDLE_MS = 60_000;
/** Pieces of work that one thread has at a time: while it does one, the next is on its way. */
const AT_ONCE = 2;

type Task = {
  readonly request: EventCheckRequest;
  readonly resolve: (verdicts: readonly EventVerdict[]) => void;
  readonly reject: (error: Error) => void;
};

type Thread = { readonly worker: Worker; readonly tasks: Map<number, Task> };

export class EventCheckThreads {
  readonly #deps: EventCheckThreadsDeps;
  readonly #threadsMax: number;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Task[] = [];
  #count = 0;
  #idle: { cancel(): void } | null = null;

  constructor(deps: EventCheckThreadsDeps) {
    this.#deps = deps;
    this.#threadsMax = deps.threadsMax ?? Math.max(1, Math.min(THREADS_MAX, availableParallelism() - 1));
  }

  /** Verdicts in the order of the events. Rejects where a thread died of it. */
  check(version: RoomVersion, events: readonly EventToCheck[]): Promise<readonly EventVerdict[]> {
    this.#idle?.cancel();
    this.#idle = null;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request: { number: this.#count++, version, events }, resolve, reject });
      this.#handOut();
    });
  }

  /** Ends all threads; what they were at is rejected. */
  async stop(): Promise<void> {
    this.#idle?.cancel();
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }

  #handOut(): void {
    while (this.#waiting.length > 0) {
      const thread = this.#freeThread();
      if (thread === null) return;
      const task = this.#waiting.shift()!;
      thread.tasks.set(task.request.number, task);
      // One that is at work keeps the process alive, an idle one does not.
      thread.worker.ref();
      thread.worker.postMessage(task.request);
    }
  }

  /** The thread with the least to do; a new one where all are busy and there may be more. */
  #freeThread(): Thread | null {
    let least: Thread | null = null;
    for (const thread of this.#threads) if (least === null || thread.tasks.size < least.tasks.size) least = thread;
    if (least?.tasks.size === 0) return least;
    if (this.#threads.size < this.#threadsMax) return this.#start();
    return least !== null && least.tasks.size < AT_ONCE ? least : null;
  }

  #start(): Thread {
    const worker = new Worker(threadUrl());
    const thread: Thread = { worker, tasks: new Map() };
    this.#threads.add(thread);
    worker.on('message', ({ number, verdicts }: EventCheckReply) => {
      const task = thread.tasks.get(number);
      thread.tasks.delete(number);
      if (thread.tasks.size === 0) worker.unref();
      task?.resolve(verdicts);
      this.#handOut();
      this.#endLater();
    });
    worker.on('error', (error) => this.#lose(thread, error as Error));
    worker.on('exit', () => this.#lose(thread, new Error('A thread that checks events has ended.')));
    return thread;
  }

  #lose(thread: Thread, error: Error): void {
    this.#threads.delete(thread);
    for (const task of thread.tasks.values()) task.reject(error);
    thread.tasks.clear();
    this.#handOut();
  }

  #endLater(): void {
    const isIdle = [...this.#threads].every(({ tasks }) => tasks.size === 0);
    if (!isIdle || this.#idle !== null) return;
    this.#idle = this.#deps.clock.after(IDLE_MS, () => {
      this.#idle = null;
      const ended = [...this.#threads];
      // Forgotten first: what comes while they end goes to a new one.
      this.#threads.clear();
      for (const { worker } of ended) void worker.terminate();
    });
  }
}

/** The thread's file: TypeScript in a checkout, JavaScript beside the bundle in a package. */
function threadUrl(): URL {
  const isSource = import.meta.url.endsWith('.ts');
  return new URL(isSource ? './event-check-thread.ts' : './event-check-thread.js', import.meta.url);
}
