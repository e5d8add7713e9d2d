/** From the configuration's words for a database to those of the drivers. */
import type { DatabaseConfig } from '../config/config.ts';
import type { DatabaseOptions } from '../storage/open.ts';
import { readText } from './start-error.ts';

/** How to open the configured database. Without `isDurable` commits need not survive a power failure: for tests. */
export function databaseOptions(config: DatabaseConfig, isDurable: boolean): DatabaseOptions {
  if (config.engine === 'sqlite') {
    return { kind: 'sqlite', path: config.path, synchronous: isDurable ? 'full' : 'off' };
  }
  return {
    kind: 'postgres',
    connection: postgresConnection(config.connection),
    poolSizeMax: config.poolMax,
    allowUnsafeLocale: config.allowsUnsafeLocale,
  };
}

/** libpq's keywords as the driver calls them; what it does not know it leaves alone. */
function postgresConnection(keywords: Readonly<Record<string, string>>): Record<string, unknown> {
  const { dbname, port, sslmode, sslrootcert, sslcert, sslkey, connect_timeout: connectSeconds, ...others } = keywords;
  const isVerified = sslmode === 'verify-ca' || sslmode === 'verify-full';
  const ssl = {
    rejectUnauthorized: isVerified,
    ...(sslrootcert === undefined ? {} : { ca: readText(sslrootcert, 'certificate', 'database.args.sslrootcert') }),
    ...(sslcert === undefined ? {} : { cert: readText(sslcert, 'certificate', 'database.args.sslcert') }),
    ...(sslkey === undefined ? {} : { key: readText(sslkey, 'key', 'database.args.sslkey') }),
  };
  return {
    ...others,
    ...(dbname === undefined ? {} : { database: dbname }),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(connectSeconds === undefined ? {} : { connectionTimeoutMillis: Number(connectSeconds) * 1000 }),
    // "prefer" and "allow" take what they get, and the driver cannot ask: plain, as libpq does on a Unix socket.
    ...(sslmode === 'require' || isVerified ? { ssl } : {}),
  };
}
