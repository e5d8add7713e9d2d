/** The log as the HTTP server writes to it: access lines to `access`, faults to `http`. */
import type { HttpLog } from '../http/router.ts';
import type { Log } from '../kit/log.ts';

export function httpLog(log: Log): HttpLog {
  const access = log.child('access');
  const http = log.child('http');
  return {
    info: (fields, message) => access.info(message, { ...fields }),
    error: (fields, message) => http.error(message, { ...fields }),
  };
}
