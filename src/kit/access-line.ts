/** The access line: one a request, in the shape that tools for Synapse's logs read. */
import type { Log } from './log.ts';

export type AccessFacts = {
  /** The request's ID. */
  readonly request: string;
  /** The listener's tag. */
  readonly listener: string;
  readonly ip: string;
  /** Who asked: a user, `admin|puppet`, a server; null for nobody known. */
  readonly user: string | null;
  readonly method: string;
  /** Path and query; the log takes out what is still secret in them. */
  readonly path: string;
  readonly status: number;
  readonly ms: number;
  readonly bytes: number;
  readonly agent: string;
  /** Not everybody measures these. */
  readonly cpuMs?: number;
  readonly databaseMs?: number;
  readonly databaseCount?: number;
};

/** What the HTTP kit writes to: access lines at `info`, faults at `error`. */
export type AccessLog = {
  info(facts: AccessFacts, message: string): void;
  error(fields: object, message: string): void;
  isLevelEnabled(level: string): boolean;
};

/** A log for the HTTP kit: its access lines go to the child `access` of `log`, its faults to the child `http`. */
export function accessLog(log: Log): AccessLog {
  const access = log.child('access');
  const http = log.child('http');
  return {
    info: (facts) => access.info(accessMessage(facts), { request: facts.request }),
    error: (fields, message) => http.error(message, { ...fields }),
    isLevelEnabled: (level) => access.isEnabled(level === 'info' ? 'info' : 'error'),
  };
}

/** The message of an access line. */
function accessMessage(facts: AccessFacts): string {
  const seconds = (ms = 0): string => `${(ms / 1000).toFixed(3)}sec`;
  return (
    `${facts.ip} - ${facts.listener} - {${facts.user ?? ''}} Processed request: ${seconds(facts.ms)} ` +
    `(${seconds(facts.cpuMs)}) (${seconds(facts.databaseMs)}/${facts.databaseCount ?? 0}) ${facts.bytes}B ` +
    `${facts.status} "${facts.method} ${quoted(facts.path)}" "${quoted(facts.agent)}"`
  );
}

/** Text that cannot end the quotes around it. */
function quoted(text: string): string {
  return text.replaceAll('"', '%22').slice(0, 1000);
}
