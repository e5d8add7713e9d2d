/** All wiring, read from top to bottom: what is built, in which order, and who gets what. */
import { todaysPaths } from '../api/client/paths.ts';
import type { Config } from '../config/config.ts';
import { serverNameOf, type UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { SigningKey } from '../core/signing.ts';
import { RateLimiter } from '../http/limits.ts';
import type { RouterOptions } from '../http/router.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Metrics } from '../kit/metrics.ts';
import type { Random } from '../kit/random.ts';
import { AuthIndex } from '../rooms/auth-index.ts';
import { Bundles } from '../rooms/bundles.ts';
import { ClientViews, deviceScopeOf } from '../rooms/client-view.ts';
import { ErasedUsers } from '../rooms/erased-users.ts';
import { EventStore } from '../rooms/event-store.ts';
import { IgnoredUsers } from '../rooms/ignored-users.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import { PushVerdicts } from '../rooms/push-verdicts.ts';
import { RoomReader } from '../rooms/read.ts';
import { Relations } from '../rooms/relations.ts';
import { Retention } from '../rooms/retention.ts';
import { RoomFacts } from '../rooms/room-facts.ts';
import { RoomGraph } from '../rooms/room-graph.ts';
import { Rooms } from '../rooms/rooms.ts';
import { ServerVisibility } from '../rooms/server-visibility.ts';
import { Snapshots } from '../rooms/snapshots.ts';
import { Destinations } from '../senders/federation/destinations.ts';
import { AccessTokens } from '../services/access-tokens.ts';
import { AccountData } from '../services/account-data.ts';
import { AccountStanding } from '../services/account-standing.ts';
import { Accounts } from '../services/accounts.ts';
import { Aliases } from '../services/aliases.ts';
import { AutoJoin } from '../services/auto-join.ts';
import { CAPTCHA_STAGE } from '../services/captcha.ts';
import { Deactivation } from '../services/deactivation.ts';
import { Devices } from '../services/devices.ts';
import { EventRelations } from '../services/event-relations.ts';
import { Filters } from '../services/filters.ts';
import { KeyBackups } from '../services/key-backups.ts';
import { LastSeen } from '../services/last-seen.ts';
import { Login } from '../services/login.ts';
import { Membership } from '../services/membership.ts';
import { MutualRooms } from '../services/mutual-rooms.ts';
import { Notifications } from '../services/notifications.ts';
import { Passwords } from '../services/passwords.ts';
import { PolicyServers } from '../services/policy-servers.ts';
import { Presence } from '../services/presence.ts';
import { Profiles } from '../services/profiles.ts';
import { PublishedRooms } from '../services/published-rooms.ts';
import { PushRules } from '../services/push-rules.ts';
import { Receipts } from '../services/receipts.ts';
import { Redactions } from '../services/redactions.ts';
import { Registration } from '../services/registration.ts';
import { registrationFlows, TERMS_STAGE, TOKEN_STAGE, termsStage } from '../services/registration-stages.ts';
import { RegistrationTokens } from '../services/registration-tokens.ts';
import { RelationChecks } from '../services/relation-checks.ts';
import { RemoteDirectory } from '../services/remote-directory.ts';
import { RemoteProfiles } from '../services/remote-profiles.ts';
import { RemoteSpaces } from '../services/remote-spaces.ts';
import { Reports } from '../services/reports.ts';
import { RoomCreation } from '../services/room-creation.ts';
import { RoomDirectory } from '../services/room-directory.ts';
import { RoomEvents } from '../services/room-events.ts';
import { RoomHistory } from '../services/room-history.ts';
import { RoomSuccession } from '../services/room-succession.ts';
import { RoomSummaries } from '../services/room-summaries.ts';
import { RoomTimes } from '../services/room-times.ts';
import { RoomUpgrades } from '../services/room-upgrades.ts';
import { Search } from '../services/search.ts';
import { SearchIndex } from '../services/search-index.ts';
import { SearchReplies } from '../services/search-reply.ts';
import { SharedSecretRegistration } from '../services/shared-secret-registration.ts';
import { ShortTokens } from '../services/short-tokens.ts';
import { SpaceHierarchy } from '../services/space-hierarchy.ts';
import { Turn } from '../services/turn.ts';
import { UserDirectory } from '../services/user-directory.ts';
import { UserDirectoryIndex } from '../services/user-directory-index.ts';
import { dummyStage, passwordStage, UserInteractiveAuth } from '../services/user-interactive-auth.ts';
import type { Database } from '../storage/database.ts';
import { ChangeIndex } from '../stream/change-index.ts';
import { PresenceTracker } from '../stream/presence-tracker.ts';
import type { Stream } from '../stream/stream.ts';
import { Typing } from '../stream/typing.ts';
import { OldSync } from '../sync/old-sync.ts';
import { PresenceViews } from '../sync/presence-view.ts';
import { RoomViews } from '../sync/room-view.ts';
import { Sync } from '../sync/sync.ts';
import { UnreadCounts } from '../sync/unread-counts.ts';
import { composeCaptcha } from './captcha.ts';
import { composeEncryption } from './compose-encryption.ts';
import { composeEdus, composeFederationSender, type Federation } from './compose-federation.ts';
import { composeFetching, composeInbound } from './compose-inbound.ts';
import { composeMembershipWithOthers, composeResidence } from './compose-residence.ts';
import { composeTimedJobs } from './compose-timed-jobs.ts';
import { baseUrlOf, limitsOf, missingProofs, serverPaceOf, shortest } from './config-facts.ts';
import { resourcesOf } from './endpoints.ts';
import { httpLog } from './http-log.ts';
import { PduTimes } from './pdu-times.ts';
import { readPolicies, termsOf } from './policies.ts';
import { VERSION } from './version.ts';

export type ComposeDeps = {
  readonly config: Config;
  readonly db: Database;
  readonly stream: Stream;
  /** The first one signs; all are published. */
  readonly signingKeys: readonly [SigningKey, ...SigningKey[]];
  readonly federation: Federation;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics | null;
};

// What the caches of rooms hold at most, together well below the memory of a small board.
const EVENTS_BYTES_MAX = 32_000_000;
const SNAPSHOTS_BYTES_MAX = 8_000_000;
const ROOMS_BYTES_MAX = 32_000_000;
const AUTH_INDEX_BYTES_MAX = 4_000_000;
const ROOM_FACTS_BYTES_MAX = 8_000_000;

/** A server that does not listen yet. */
export type Composed = {
  readonly router: RouterOptions;
  /** Ends the waits of requests that wait for what may take long. */
  stopWaiting(): void;
  /** Ends what goes on in the background, when no request is at work any more and before the database is closed. */
  stop(): Promise<void>;
};

/** Builds everything. */
export function compose(deps: ComposeDeps): Composed {
  const { config, db, stream, signingKeys, federation, clock, random, log, metrics } = deps;
  const { serverName } = config.server;
  const [signingKey] = signingKeys;
  const { registration: registrationConfig, sessions } = config;
  const publicBaseUrl = baseUrlOf(config);
  const limitsInfoUri = config.server.adminContact ?? publicBaseUrl;

  // Limits and accounts
  const limiter = new RateLimiter({ clock, limits: limitsOf(config) });
  const lastSeen = new LastSeen({ db, clock, log: log.child('services.last-seen') });
  const accessTokens = new AccessTokens({
    db,
    stream,
    clock,
    random,
    lastSeen,
    lifetimes: {
      plainMs: shortest(sessions.nonrefreshableAccessTokenLifetimeMs, sessions.sessionLifetimeMs),
      refreshableMs: shortest(sessions.refreshableAccessTokenLifetimeMs, sessions.sessionLifetimeMs),
      refreshMs: sessions.refreshTokenLifetimeMs,
    },
  });
  const encryption = composeEncryption({ ...deps, limiter });
  const { deviceLists } = encryption;
  const { keyCounts, userRooms } = encryption.views;
  const tellsNames = config.federation.allowDeviceNameLookup;
  const devices = new Devices({ db, clock, random, accessTokens, deviceLists, keyCounts, tellsNames });
  const passwords = new Passwords({
    bcryptRounds: sessions.bcryptRounds,
    pepper: sessions.passwordPepper,
    policy: sessions.isPasswordPolicyEnabled
      ? {
          lengthMin: sessions.passwordLengthMin,
          needsDigit: sessions.passwordNeedsDigit,
          needsSymbol: sessions.passwordNeedsSymbol,
          needsLowercase: sessions.passwordNeedsLowercase,
          needsUppercase: sessions.passwordNeedsUppercase,
        }
      : null,
  });
  const accounts = new Accounts({ db, stream, serverName, passwords, accessTokens, devices, limiter });
  const hasLocalPasswords = sessions.isLocalPasswordDatabaseEnabled;
  const shortTokens = new ShortTokens({ db, clock, random });
  const login = new Login({
    accounts,
    devices,
    limiter,
    shortTokens,
    ofOtherDevices: sessions.loginViaExistingSession
      ? { asksForProof: sessions.loginViaExistingSessionAsks, lifetimeMs: sessions.loginTokenLifetimeMs }
      : null,
    allowsPassword: sessions.passwordLogin === true && hasLocalPasswords,
  });
  const terms = termsOf(config, publicBaseUrl);
  const captcha = composeCaptcha(config, clock, log);
  const registrationTokens = new RegistrationTokens({ db, clock, random, limiter });
  const userInteractiveAuth = new UserInteractiveAuth({
    clock,
    random,
    stages: {
      'm.login.dummy': dummyStage,
      'm.login.password': passwordStage({ accounts }),
      [TOKEN_STAGE]: registrationTokens.stage,
      ...(captcha === null ? {} : { [CAPTCHA_STAGE]: captcha.stage }),
      ...(terms === null ? {} : { [TERMS_STAGE]: termsStage(terms) }),
    },
    proofLifetimeMs: sessions.uiAuthSessionTimeoutMs,
  });

  // Rooms
  const events = new EventStore({ db, cacheBytesMax: EVENTS_BYTES_MAX });
  const snapshots = new Snapshots({ db, cacheBytesMax: SNAPSHOTS_BYTES_MAX });
  const authIndex = new AuthIndex({ db, events, cacheBytesMax: AUTH_INDEX_BYTES_MAX });
  const relations = new Relations({ db });
  const policies = new PolicyServers({
    events,
    client: federation.client,
    serverName,
    clock,
    log: log.child('services.policy-servers'),
  });
  const rooms = new Rooms({
    db,
    clock,
    random,
    events,
    snapshots,
    authIndex,
    relations,
    serverName,
    signingKey,
    stream,
    roomsBytesMax: ROOMS_BYTES_MAX,
    dummyEventsThreshold: config.rooms.dummyEventsThreshold,
    policies,
  });
  metrics?.measuredBy(
    {
      name: 'myelin_forward_extremities',
      help: 'Rooms in memory by how many forward extremities they have at most.',
      label: 'extremities',
    },
    () => rooms.forwardExtremities(),
  );
  const ignored = new IgnoredUsers({ db, stream });
  const pushRuleOptions = { polls: true, legacyMentions: config.push.hasLegacyMentionRules };
  const retention = new Retention({ events, clock, config: config.retention });
  const verdicts = new PushVerdicts({ db, stream, events, ignored, retention, pushRuleOptions });
  const reader = new RoomReader({ db, rooms, events, snapshots, stream, ignored, retention });
  const bundles = new Bundles({ db, events, reader, relations, ignored });
  const erased = new ErasedUsers({ db, stream });
  const views = new ClientViews({ events, snapshots, clock, bundles, erased });
  const profiles = new Profiles({
    db,
    stream,
    rooms,
    reader,
    events,
    log: log.child('services.profiles'),
    serverName,
    remote: new RemoteProfiles({ client: federation.client, clock }),
    config: { ...config.profiles, ...registrationConfig },
  });
  const profileOf = (userId: UserId) => profiles.profileOf(userId);
  const pushRules = new PushRules({ db, stream, options: pushRuleOptions });
  const accountData = new AccountData({ db, stream, rooms, pushRules, limitsInfoUri });
  const succession = new RoomSuccession({
    db,
    rooms,
    reader,
    accountData,
    pushRules,
    log: log.child('services.room-succession'),
  });
  const onJoined = (userId: UserId, live: LiveRoom) => succession.follow(userId, live);
  const aliases = new Aliases({
    db,
    rooms,
    reader,
    clock,
    serverName,
    remote: federation.client,
    config: config.rooms,
  });
  const graph = new RoomGraph({ db, events, snapshots });
  const engine = { rooms, reader, events, graph };
  const { partialJoins, ...withOthers } = composeMembershipWithOthers({ ...deps, ...engine, policies, deviceLists });
  const membership = new Membership({
    db,
    rooms,
    stream,
    reader,
    aliases,
    ...withOthers,
    limits: limiter,
    config: config.rooms,
    profileOf,
    onJoined,
  });
  const facts = new RoomFacts({ db, rooms, events, snapshots, stream, cacheBytesMax: ROOM_FACTS_BYTES_MAX });
  const published = new PublishedRooms({ db, stream, facts, log: log.child('services.published-rooms') });
  const roomDirectory = new RoomDirectory({ db, rooms, reader, published, config: config.rooms });
  const roomCreation = new RoomCreation({
    rooms,
    aliases,
    membership,
    directory: roomDirectory,
    remoteInvites: withOthers.remoteInvites,
    limits: limiter,
    config: config.rooms,
    isLocal: (userId) => serverNameOf(userId) === serverName,
    profileOf,
    onJoined,
    log: log.child('services.room-creation'),
  });
  const remoteSpaces = new RemoteSpaces({ client: federation.client, serverName, clock });
  const roomSummaries = new RoomSummaries({ db, facts, membership, remote: remoteSpaces });
  const roomUpgrades = new RoomUpgrades({
    db,
    rooms,
    reader,
    succession,
    directory: roomDirectory,
    limits: limiter,
    profileOf,
    log: log.child('services.room-upgrades'),
  });
  const redactions = new Redactions({
    db,
    rooms,
    reader,
    events,
    limits: limiter,
    adminLimit: config.rateLimits.adminRedaction === null ? 'message' : 'adminRedaction',
  });
  const relationChecks = new RelationChecks({ db, events });
  const roomEvents = new RoomEvents({ rooms, reader, membership, aliases, redactions, relationChecks });
  const fetching = composeFetching({ federation, rooms, events, graph, serverName, clock, log });
  const { backfill, remoteTimes } = fetching;
  const roomHistory = new RoomHistory({ db, rooms, reader, events, snapshots, views, stream, backfill });
  const eventRelations = new EventRelations({ db, stream, events, reader, bundles, views, ignored });
  const presenceTracker = new PresenceTracker({
    db,
    stream,
    clock,
    log: log.child('stream.presence'),
    timers: {
      activeMs: config.presence.lastActiveGranularityMs,
      idleMs: config.presence.idleTimeoutMs,
      offlineMs: config.presence.syncOnlineTimeoutMs,
    },
    mode: config.presence.enabled === 'untracked' ? 'untracked' : config.presence.enabled ? 'on' : 'off',
    excludedRooms: config.presence.excludeRooms,
    mayChangeBySync: (userId) => limiter.tries('presencePerUser', userId),
  });
  const presence = new Presence({ tracker: presenceTracker, clock, db });
  const keyBackups = new KeyBackups({ db, limitsInfoUri });
  const deactivation = new Deactivation({
    db,
    accounts,
    keyBackups,
    membership,
    profiles,
    presence,
    log: log.child('services.deactivation'),
  });

  // New accounts, which may be brought into rooms
  const autoJoin = new AutoJoin({
    db,
    aliases,
    membership,
    roomCreation,
    serverName,
    log: log.child('services.auto-join'),
    config: registrationConfig,
  });
  const registration = new Registration({
    db,
    stream,
    clock,
    random,
    serverName,
    passwords,
    devices,
    accessTokens,
    limiter,
    isOpen: registrationConfig.isOpen && missingProofs(config).length === 0,
    flows: registrationFlows({
      forToken: registrationConfig.requiresToken,
      forCaptcha: captcha !== null,
      forTerms: terms !== null,
    }),
    allowsGuests: registrationConfig.allowGuests,
    mayLocalpartBeginWithUnderscore: registrationConfig.mayLocalpartBeginWithUnderscore,
    hidesTakenNames: registrationConfig.inhibitUserInUseError,
    defaultUserType: config.server.defaultUserType,
    onRegistered: (userId, isGuest) => autoJoin.welcome(userId, isGuest),
  });
  for (const key of registrationConfig.isOpen ? missingProofs(config) : []) {
    log.warn(`Registration stays closed: what ${key} asks of new users cannot be checked yet.`);
  }
  const sharedSecretRegistration = new SharedSecretRegistration({
    registration,
    clock,
    random,
    sharedSecret: registrationConfig.sharedSecret,
  });

  // Finding things
  const searchIndex = config.server.enableSearch
    ? new SearchIndex({ db, stream, clock, log: log.child('services.search-index') })
    : null;
  const replies = new SearchReplies({ db, reader, events, views });
  const userDirectoryIndex = config.userDirectory.isEnabled
    ? new UserDirectoryIndex({
        db,
        stream,
        clock,
        log: log.child('services.user-directory-index'),
        rooms,
        reader,
        events,
        isLocal: (userId) => serverNameOf(userId) === serverName,
      })
    : null;
  const userDirectory = new UserDirectory({ db, serverName, index: userDirectoryIndex, config: config.userDirectory });
  const search = new Search({ db, rooms, reader, events, ignored, views, replies, index: searchIndex });

  // What a user keeps, and what a user sees
  const filters = new Filters({ db, limitsInfoUri });
  const receipts = new Receipts({ db, stream, clock, rooms, events });
  const typing = new Typing({ stream, clock });
  const presenceViews = new PresenceViews(
    { tracker: presenceTracker, clock },
    { includesOffline: config.presence.includeOfflineUsers },
  );
  const changes = new ChangeIndex(stream);
  const sync = new Sync({
    db,
    clock,
    stream,
    changes,
    typing,
    rooms,
    events,
    reader,
    ...encryption.views,
    roomViews: new RoomViews(
      { db, reader, events, snapshots, views, ignored, prejoinState: withOthers.prejoinState },
      { timelineMax: config.rooms.filterTimelineLimit === -1 ? null : config.rooms.filterTimelineLimit },
    ),
    unread: new UnreadCounts({ db, stream, events, verdicts }),
    pushRuleOptions,
    ignored,
    presence: presenceTracker,
    presenceViews,
  });
  const oldSync = new OldSync({
    db,
    prejoinState: withOthers.prejoinState,
    clock,
    stream,
    changes,
    typing,
    rooms,
    events,
    reader,
    views,
    userRooms,
    ignored,
    presence: presenceTracker,
    presenceViews,
  });

  // Other servers
  const serverVisibility = new ServerVisibility({ events, snapshots, erased });
  const residence = composeResidence({
    ...deps,
    limiter,
    rooms,
    reader,
    events,
    graph,
    facts,
    accounts,
    membership,
    serverVisibility,
    deviceLists,
    policies,
    ...withOthers,
  });
  const pduTimes = new PduTimes({ servers: config.federation.metricsServers, metrics });
  const inbound = composeInbound({
    ...deps,
    pduTimes,
    fetching,
    rooms,
    events,
    graph,
    policies,
    serverName,
    typing,
    receipts,
    presence,
    ...encryption,
  });

  // What goes out
  const federationSender = composeFederationSender({ ...deps, events, pduTimes });
  const stopEdus = composeEdus({ ...deps, rooms, events, typing, presence, deviceLists, outbox: federationSender });

  // Timed jobs
  const stopTimedJobs = composeTimedJobs({ ...deps, rooms, events, relations, retention });

  const resources = resourcesOf({
    ...residence,
    ...encryption.endpoints,
    accessTokens,
    accountStanding: new AccountStanding({ db, accounts, accessTokens, devices, lastSeen }),
    accountData,
    accounts,
    adminContact: config.server.adminContact,
    aliases,
    config,
    deactivation,
    destinations: new Destinations({ db, backOff: federation.backOff, sender: federationSender }),
    devices,
    eventRelations,
    // Read from YAML, so it is JSON.
    extraClientContent: config.wellKnown.extraClientContent as JsonObject,
    filters,
    keyBackups,
    identityServer: config.wellKnown.defaultIdentityServer,
    login,
    mayChangePassword: sessions.passwordLogin !== false && hasLocalPasswords,
    membership,
    mutualRooms: new MutualRooms({ db }),
    metrics,
    now: () => clock.now(),
    notary: federation.notary,
    notifications: new Notifications({ db, stream, rooms, events, views, verdicts }),
    oldSync,
    partialJoins,
    policies: readPolicies(config),
    prejoinState: withOthers.prejoinState,
    presence,
    profiles,
    publicBaseUrl,
    publishedKeys: federation.publishedKeys,
    pushRules,
    receipts,
    redactions,
    registration,
    registrationTokens,
    roomCreation,
    roomDirectory,
    roomEvents,
    remoteDirectory: new RemoteDirectory({ client: federation.client }),
    reports: new Reports({ db, stream, clock, rooms, reader, events, facts, log: log.child('services.reports') }),
    roomHistory,
    roomSummaries,
    roomTimes: new RoomTimes({ db, stream, events, reader, graph, visibility: serverVisibility, remoteTimes }),
    roomUpgrades,
    rooms,
    search,
    serverName,
    servesServer: config.wellKnown.servesServer,
    sharedSecretRegistration,
    shortTokens,
    spaceHierarchy: new SpaceHierarchy({ facts, summaries: roomSummaries, remote: remoteSpaces, clock, random }),
    sync,
    transactions: inbound.transactions,
    turn: new Turn({ config: config.turn, clock }),
    typing,
    userDirectory,
    userInteractiveAuth,
    version: VERSION,
  });
  return {
    router: {
      resources,
      alsoKnownAs: todaysPaths,
      guard: accessTokens,
      serverGuard: federation.serverGuard,
      limiter,
      serverPace: serverPaceOf(config),
      onActivity: (user) => presenceTracker.noteActivity(user.userId, deviceScopeOf(user)),
      clock,
      log: httpLog(log),
      metrics,
    },
    stopWaiting: () => rooms.whole.stop(),
    async stop(): Promise<void> {
      await stopTimedJobs();
      await Promise.all([fetching.stop(), partialJoins.stop()]);
      await Promise.all([inbound.stop(), stopEdus()]);
      await Promise.all([searchIndex?.stop(), userDirectoryIndex?.stop(), federationSender.stop()]);
      await Promise.all([lastSeen.flush(), encryption.stop()]);
      await Promise.all([presenceTracker.stop(), captcha?.stop()]);
    },
  };
}
