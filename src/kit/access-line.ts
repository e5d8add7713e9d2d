/** The access line: one a request, in the shape that tools for Synapse's logs read. */
import { redact } from './redact.ts';

export type AccessFacts = {
  /** The listener's tag. */
  readonly tag: string;
  readonly ip: string;
  /** Who asked: a user, `admin|puppet`, a server; null for nobody known. */
  readonly entity: string | null;
  readonly method: string;
  /** Path and query as they came; tokens are taken out here. */
  readonly url: string;
  readonly httpVersion: string;
  readonly status: number;
  readonly totalMs: number;
  readonly cpuMs: number;
  readonly databaseMs: number;
  readonly databaseCount: number;
  readonly replyBytes: number;
  readonly userAgent: string;
  /** True where the client went away before the answer was out. */
  readonly isAborted: boolean;
};

/** The message of an access line. Log it to the child `access` with the field `request`. */
export function accessMessage(facts: AccessFacts): string {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(3)}sec`;
  return (
    `${facts.ip} - ${facts.tag} - {${facts.entity ?? ''}} Processed request: ${seconds(facts.totalMs)} ` +
    `(${seconds(facts.cpuMs)}) (${seconds(facts.databaseMs)}/${facts.databaseCount}) ${facts.replyBytes}B ` +
    `${facts.status}${facts.isAborted ? '!' : ''} "${facts.method} ${quoted(redact(facts.url))} HTTP/${facts.httpVersion}" ` +
    `"${quoted(facts.userAgent)}"`
  );
}

/** Text that cannot end the quotes around it. */
function quoted(text: string): string {
  return text.replaceAll('"', '%22').slice(0, 1000);
}
